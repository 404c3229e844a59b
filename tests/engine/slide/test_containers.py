"""Slides of several files: what is missing is named, and nothing is opened as its thumbnail or label."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

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
    assert "VSI is not supported" in error.what
    assert "OME-TIFF" in error.hint


@pytest.mark.parametrize("name", ["a.mrxs", "a.MRXS"])
def test_mirax_needs_its_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xff\xd8\xff")
    assert "a, Slidedat.ini" in refused(path).what
    (tmp_path / "a").mkdir()
    assert "Slidedat.ini should be next to it, but is missing" in refused(path).what


def test_vms_names_the_parts_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "s.vms"
    path.write_text(VMS)
    (tmp_path / "s(0,0).jpg").write_bytes(b"\xff\xd8\xff")
    assert "s(1,0).jpg, s_map2.jpg should be next to it, but are missing" in refused(path).what


@pytest.mark.parametrize("name", ["a.isyntax", "a.lif", "a.nd2", "frame_t.ets"])
def test_formats_that_are_not_read_say_what_to_convert_them_with(tmp_path: Path, name: str) -> None:
    path = thumbnail(tmp_path / name)
    assert "is not read" in refused(path).what


MIRAX = (
    "[GENERAL]\nSLIDE_ID = x\n[HIERARCHICAL]\nINDEXFILE = Index.dat\n"
    "[DATAFILE]\nFILE_COUNT = 2\nFILE_0 = Data0000.dat\nFILE_1 = Data0001.dat\n"
)
WHOLE_VMS = (
    "[Virtual Microscope Specimen]\nNoLayers=1\nNoJpegColumns=2\nNoJpegRows=1\nImageFile=s.jpg\n"
    "ImageFile(1,0)=s(1,0).jpg\nMapFile=s_map2.jpg\nPhysicalWidth=640000\nPhysicalHeight=384000\nSourceLens=20\n"
)


def preview(path: Path) -> Path:
    """Write a small JPEG under any name."""
    Image.fromarray(np.full((60, 80, 3), 200, np.uint8)).save(path, format="JPEG")
    return path


def test_a_mirax_slide_names_its_missing_data_files(tmp_path: Path) -> None:
    path, folder = preview(tmp_path / "Case 1.mrxs"), tmp_path / "Case 1"
    folder.mkdir()
    (folder / "Slidedat.ini").write_text("\ufeff" + MIRAX, encoding="utf-8")
    (folder / "Data0000.dat").write_bytes(b"x")
    assert refused(path).what == "Index.dat, Data0001.dat should be next to it, but are missing"


def test_a_mirax_slide_that_openslide_refuses_is_not_its_preview(tmp_path: Path) -> None:
    path, folder = preview(tmp_path / "m.mrxs"), tmp_path / "m"
    folder.mkdir()
    (folder / "Slidedat.ini").write_text(MIRAX)
    for name in ("Index.dat", "Data0000.dat", "Data0001.dat"):
        (folder / name).write_bytes(b"x")
    assert "openslide: " in refused(path).what


def write_vms(folder: Path) -> Path:
    for name, size in (("s.jpg", (640, 768)), ("s(1,0).jpg", (640, 768)), ("s_map2.jpg", (64, 38))):
        Image.new("RGB", size, (150, 150, 150)).save(folder / name, restart_marker_blocks=4)
    (folder / "s.vms").write_text(WHOLE_VMS)
    return folder / "s.vms"


def test_a_hamamatsu_vms_slide_with_all_parts_opens(tmp_path: Path) -> None:
    with open_slide(write_vms(tmp_path)) as slide:
        assert (slide.info.vendor, slide.info.size_px0) == ("hamamatsu", (1280, 768))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("slide.svs", b'<DataObject ObjectType="DPUfsImport">', "Philips iSyntax"),
        ("a.tif", b"\x70\0\0\0" + bytes(90), "Leica LIF"),
        ("a.ndpis", b"[NanoZoomer Digital Pathology Image Set]\nNoImages=1\n", "list of Hamamatsu slides"),
        ("slides.zip", b"PK\x03\x04" + bytes(90), "ZIP archive"),
        ("bag.h5", b"\x89HDF\r\n\x1a\n" + bytes(90), "HDF5"),
    ],
)
def test_formats_without_a_reader_are_named_with_a_way_out(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert words in refused(path).what


def test_a_czi_file_that_openslide_cannot_read_says_what_to_convert_it_with(tmp_path: Path) -> None:
    path = tmp_path / "a.czi"
    path.write_bytes(b"ZISRAWFILE" + bytes(90))
    error = refused(path)
    assert "openslide: " in error.what
    assert error.hint is not None
    assert "OME-TIFF" in error.hint


def test_a_plain_image_under_the_name_of_a_slide_says_so(tmp_path: Path) -> None:
    with open_slide(preview(tmp_path / "slide.svs")) as slide:
        assert slide.info.warnings == (
            "The file is a plain JPEG image although its name ends in .svs; it may be only the preview of a slide.",
        )
    with open_slide(preview(tmp_path / "slide.jpeg")) as slide:
        assert slide.info.warnings == ()


def test_a_dicom_thumbnail_without_its_slide_is_refused_and_a_lone_level_is_said(
    shared_data: Path, tmp_path: Path
) -> None:
    import pydicom

    for name in ("label.dcm", "volume.dcm"):
        shutil.copy(shared_data / "slides" / "dicom" / "CMU-1-Small-Region_set" / name, tmp_path / name)
    volume = pydicom.dcmread(tmp_path / "volume.dcm")
    for flavour in ("THUMBNAIL", "VOLUME"):
        volume.ImageType = ["DERIVED", "PRIMARY", flavour, "RESAMPLED"]
        volume.save_as(tmp_path / "volume.dcm")
        if flavour == "THUMBNAIL":
            assert "thumbnail image of a slide" in str(refused(tmp_path / "volume.dcm"))
        else:
            with open_slide(tmp_path / "volume.dcm") as slide:
                assert any("full resolution may be missing" in sentence for sentence in slide.info.warnings)
