"""The slide format that CONTRIBUTING shows: one file and one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from contributing import examples
from sam_mil_engine.settings import TissueSettings
from sam_mil_engine.slide.reader import READERS, open_slide
from sam_mil_engine.slide.tissue import find_tissue


def test_a_slide_of_a_new_format_is_opened(
    tiny_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, object] = {}
    exec(examples()["toy_reader.py"], shown)
    monkeypatch.setitem(READERS, "numpy", shown["open_numpy"])
    pixels = tifffile.imread(tiny_slide)
    np.save(tmp_path / "tiny.npy", pixels)
    with open_slide(tmp_path / "tiny.npy") as slide, open_slide(tiny_slide) as same:
        assert slide.info.reader == "numpy"
        np.testing.assert_array_equal(slide.read_level(0, (300, 200), (64, 32)), pixels[200:232, 300:364])
        found, expected = (find_tissue(one, TissueSettings()) for one in (slide, same))
        assert len(found) == 1
        np.testing.assert_array_equal(found.area_px0, expected.area_px0)
    with open_slide(tiny_slide) as slide:
        assert slide.info.reader != "numpy", "other files go to the other readers"
