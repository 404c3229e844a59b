"""Figures for print."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sam_mil_engine.errors import SettingsError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.report.figure import Bar, Entry, write_figure

GREY = np.full((300, 400, 3), 130, np.uint8)


def draw(path, **options):
    return write_figure(path, GREY, Frame(downsample=(4, 4)), width_mm=100, dpi=100, **options)


def test_the_image_fills_the_width_and_the_scale_bar_is_true(tmp_path):
    image = np.asarray(Image.open(draw(tmp_path / "a.png", mpp=(0.5, 0.5))).convert("RGB")).astype(int)
    assert image.shape in {(295, 394, 3), (295, 393, 3)}
    row = np.flatnonzero((image[:-2, :] < 60).all(axis=-1).sum(axis=1) > 40)
    black = np.flatnonzero((image[row[0]] < 60).all(axis=-1))
    # 400 px x 4 x 0.5 µm = 800 µm wide: the bar is 100 µm, an eighth of the width
    assert np.ptp(black) == pytest.approx(393 / 8, abs=2)
    plain = np.asarray(Image.open(draw(tmp_path / "b.png")).convert("RGB")).astype(int)
    assert np.abs(plain - 130).max() <= 1, "without µm there is no bar"


def test_legend_and_caption_take_room_below(tmp_path):
    heights = [np.asarray(Image.open(draw(tmp_path / "a.png"))).shape[0]]
    bar = Bar("attention", np.linspace((1, 1, 1, 0), (1, 0, 0, 1), 256), (0.0, 4.0))
    for options in ({"bars": [bar]}, {"entries": [Entry("tissue", (0, 120, 60))]}, {"caption": "long words " * 40}):
        heights.append(np.asarray(Image.open(draw(tmp_path / "b.png", **options))).shape[0])
    assert all(height > heights[0] + 10 for height in heights[1:])


@pytest.mark.parametrize(("name", "options"), [("a.bmp", {}), ("a.png", {"dpi": 5}), ("a.png", {"width_mm": 5000})])
def test_what_makes_no_sense_is_refused_before_anything_is_written(tmp_path, name, options):
    with pytest.raises(SettingsError):
        write_figure(tmp_path / name, GREY, Frame(), **options)
    assert not list(tmp_path.iterdir())
