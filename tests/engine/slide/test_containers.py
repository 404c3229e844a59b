"""Slides of several files: what is missing is named, and nothing is opened as its thumbnail or label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from sam_mil_engine.errors import SlideError
from sam_mil_engine.slide.reader import open_slide

VMS = "[Virtual Microscope Specimen]\nImageFile=s(0,0).jpg\nImageFile(1,0)=s(1,0).jpg\nMapFile=s_map2.jpg\n"


def thumbnail(path: Path) -> Path:
    tifffile.imwrite(path, np.full((501, 512, 3), 200, np.uint8), photometric="rgb", tile=(256, 256))
    return path


def refused(path: Path) -> SlideError:
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    assert caught.value.where == str(path)
    assert caught.value.hint
    return caught.value


def test_a_vsi_is_never_its_overview(tmp_path: Path) -> None:
    path = thumbnail(tmp_path / "a.vsi")
    error = refused(path)
    assert "_a_" in error.what
    assert "missing" in error.what
    (tmp_path / "_a_" / "stack1").mkdir(parents=True)
    (tmp_path / "_a_" / "stack1" / "frame_t.ets").write_bytes(b"SIS")
    error = refused(path)
    assert "VSI is not read" in error.what
    assert "OME-TIFF" in error.hint


@pytest.mark.parametrize("name", ["a.mrxs", "a.MRXS"])
def test_mirax_needs_its_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xff\xd8\xff")
    assert "a, Slidedat.ini" in refused(path).what
    (tmp_path / "a").mkdir()
    assert "Slidedat.ini should lie next to it, and is missing" in refused(path).what


def test_vms_names_the_parts_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "s.vms"
    path.write_text(VMS)
    (tmp_path / "s(0,0).jpg").write_bytes(b"\xff\xd8\xff")
    assert "s(1,0).jpg, s_map2.jpg should lie next to it, and are missing" in refused(path).what


@pytest.mark.parametrize("name", ["a.czi", "a.isyntax", "a.lif", "a.nd2"])
def test_formats_that_are_not_read_say_what_to_convert_them_with(tmp_path: Path, name: str) -> None:
    path = thumbnail(tmp_path / name)
    assert "is not read" in refused(path).what
