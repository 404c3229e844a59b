"""CZI and iSyntax through fastslide: a package of the same interface stands in for it here."""

from __future__ import annotations

import sys

import pytest

from sam_mil_engine.errors import SlideError
from sam_mil_engine.slide.containers import has_fastslide
from sam_mil_engine.slide.reader import open_slide

STAND_IN = """
from pathlib import Path

import numpy as np


class Pixels:
    def __init__(self, values):
        self.values = values

    def numpy(self):
        return self.values


class FastSlide:
    format, dtype, num_channels, mpp, icc_profile = "CZI", "uint8", {channels}, (0.25, 0.25), None
    properties = {{"objective_magnification": 40.0}}
    level_dimensions = ((64, 48), (32, 24))

    @classmethod
    def from_file_path(cls, path):
        if Path(path).read_bytes() == b"ZISRAWFILE damaged":
            raise RuntimeError("Invalid segment header")
        return cls()

    def read_region(self, location, level, size):
        left, top = location
        x, y = np.meshgrid(np.arange(size[0]) + left, np.arange(size[1]) + top)
        return Pixels(np.stack([x, y, np.full_like(x, level)], axis=2).astype(np.uint8))

    def close(self):
        pass
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    def install(channels=3):
        folder = tmp_path / "packages"
        folder.mkdir()
        (folder / "fastslide.py").write_text(STAND_IN.format(channels=channels))
        monkeypatch.delitem(sys.modules, "fastslide", raising=False)
        monkeypatch.syspath_prepend(folder)

    yield install
    sys.modules.pop("fastslide", None)


@pytest.mark.parametrize("name", ["a.czi", "a.isyntax", "a.i2syntax"])
def test_a_slide_is_read_where_the_package_is_installed(tmp_path, stand_in, name):
    stand_in()
    (tmp_path / name).write_bytes(b"ZISRAWFILE")
    with open_slide(tmp_path / name) as slide:
        assert (slide.info.reader, slide.info.vendor) == ("fastslide", "czi")
        assert (slide.info.mpp, slide.info.objective_power) == ((0.25, 0.25), 40.0)
        assert slide.info.level_sizes == ((64, 48), (32, 24))
        assert slide.read_level(1, (3, 5), (2, 1)).tolist() == [[[3, 5, 1], [4, 5, 1]]]


def test_damage_and_fluorescence_are_said(tmp_path, stand_in):
    stand_in(channels=5)
    (tmp_path / "damaged.czi").write_bytes(b"ZISRAWFILE damaged")
    with pytest.raises(SlideError, match="Invalid segment header"):
        open_slide(tmp_path / "damaged.czi")
    (tmp_path / "five.czi").write_bytes(b"ZISRAWFILE")
    with pytest.raises(SlideError, match="5 channels of uint8, not red"):
        open_slide(tmp_path / "five.czi")


@pytest.mark.skipif(has_fastslide(), reason="fastslide is installed")
@pytest.mark.parametrize("name", ["a.czi", "a.isyntax"])
def test_without_it_the_package_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"ZISRAWFILE")
    with pytest.raises(SlideError, match=r"not read\. Install fastslide .*fastslide\]'\), or convert") as caught:
        open_slide(tmp_path / name)
    assert "pip" not in str(caught.value.window_hint)
    assert "fastslide in napari's environment" in str(caught.value.window_hint)
