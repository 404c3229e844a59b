"""What every slide file of the shared data gives: the table below names each one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sam_mil_engine.errors import SlideError
from sam_mil_engine.slide.reader import open_slide

DICOM_SET = "slides/dicom/CMU-1-Small-Region_set"

# path: reader, size, levels, mpp, objective power, words of a warning (None: no warning)
OPENS: dict[str, tuple[str, tuple[int, int], int, float | None, float | None, str | None]] = {
    "slides/aperio/CMU-1-Small-Region.svs": ("openslide", (2220, 2967), 1, 0.499, 20, None),
    f"{DICOM_SET}/label.dcm": ("wsidicom", (2220, 2967), 1, 0.499, None, None),
    f"{DICOM_SET}/overview.dcm": ("wsidicom", (2220, 2967), 1, 0.499, None, None),
    f"{DICOM_SET}/volume.dcm": ("wsidicom", (2220, 2967), 1, 0.499, None, None),
    "slides/dicom/sm_image.dcm": ("openslide", (50, 50), 1, 0.499, None, None),
    "slides/dicom/sm_image_jpegls.dcm": ("wsidicom", (50, 50), 1, 0.499, None, None),
    "slides/dicom/wsi2dcm_jpeg.dcm": ("openslide", (957, 715), 1, 16.783, None, None),
    "slides/generic-tiff/CMU-small-pyramid.tiff": ("openslide", (718, 514), 3, 3.19489, None, None),
    "slides/generic-tiff/P2_0039_section1_upper.tif": ("openslide", (15104, 13056), 3, None, None, None),
    "slides/generic-tiff/P2_0039_section1_upper_tissue_mask_x8.png": ("image", (1888, 1632), 1, None, None, None),
    "slides/generic-tiff/smalltif.tif": ("tifffile", (640, 480), 1, None, None, "16-bit intensities"),
    "slides/hamamatsu/test3-DAPI-2-387.ndpi": ("openslide", (3968, 4864), 7, 0.228175, 40, None),
    "slides/ome-tiff/XYC_jpeg_pyramid.ome.tiff": ("tifffile", (512, 512), 1, None, None, None),
    "slides/openslide-fixtures/boxes.tiff": ("openslide", (300, 250), 4, None, None, "352.778"),
    "slides/openslide-fixtures/boxes_0.dcm": ("openslide", (16, 16), 1, 0.499, 20, None),
    "slides/openslide-fixtures/boxes_1.dcm": ("openslide", (16, 16), 1, 0.499, 20, None),
    "slides/openslide-fixtures/small.svs": ("openslide", (16, 16), 1, 0.499, 20, None),
    "unusual/CMU-1-Small-Region_wrong_mpp.jpeg.tiff": ("openslide", (2220, 2967), 1, None, None, "0.00499"),
    "unusual/cells.ome.tif": ("tifffile", (93, 131), 1, 0.25, None, None),
    "unusual/grey10kx5k.tif": ("tifffile", (10000, 5000), 1, None, None, "352.778"),
    "unusual/test_orient3.tif": ("tifffile", (120, 180), 3, None, None, "orientation 3"),
    "unusual/yb10kx5k.zstd.tiff": ("openslide", (10000, 5000), 5, None, None, "352.858"),
}

# path: what the one error says
REFUSED = {
    "slides/dicom/seg_image_sm_control.dcm": "a Segmentation, not the image of a slide",
    "slides/dicom/seg_image_sm_dots.dcm": "a Segmentation, not the image of a slide",
    "slides/dicom/sm_annotations.dcm": "Annotations, not the image of a slide",
    "slides/dicom/small_dicom.dcm": "does not state its image type",
    "malformed/CMU-1-Small-Region_truncated.svs": "tifffile: the file holds no image.*may be truncated",
    "malformed/broken.svs": "this is a text file",
    "malformed/unopenable.tiff": "openslide: Unsupported TIFF compression: 52479; tifffile: ",
    "malformed/unreadable.svs": "openslide: it opens, but its pixels cannot be decoded: Bogus marker length",
}


def test_the_tables_name_every_slide_file_of_the_manifest(shared_data: Path) -> None:
    lines = (shared_data / "MANIFEST.tsv").read_text(encoding="utf-8").splitlines()[1:]
    listed = {line.split("\t")[0] for line in lines if line.startswith(("slides/", "unusual/", "malformed/"))}
    assert listed == OPENS.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", OPENS)
def test_a_slide_opens_with_its_facts_and_its_corners_can_be_read(shared_data: Path, name: str) -> None:
    reader, size, levels, mpp, power, warning = OPENS[name]
    with open_slide(shared_data / name) as slide:
        info = slide.info
        assert (info.reader, info.size_px0, len(info.level_sizes)) == (reader, size, levels)
        assert info.mpp == (None if mpp is None else (pytest.approx(mpp, rel=1e-4), pytest.approx(mpp, rel=1e-4)))
        assert info.objective_power == power
        assert bool(info.warnings) == (warning is not None)
        assert warning is None or any(warning in sentence for sentence in info.warnings)
        for level, (width, height) in enumerate(info.level_sizes):
            assert info.level_downsamples[level] == (size[0] / width, size[1] / height)
            for corner in ((0, 0), (width - 8, height - 8)):
                pixels = slide.read_level(level, corner, (8, 8))
                assert pixels.shape == (8, 8, 3)
                assert pixels.dtype == np.uint8


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_does_not_open_gives_one_error_with_path_words_and_hint(shared_data: Path, name: str) -> None:
    with pytest.raises(SlideError) as caught:
        open_slide(shared_data / name)
    assert re.search(REFUSED[name], str(caught.value))
    assert caught.value.where == str(shared_data / name)
    assert caught.value.hint
    assert not caught.value.hint.endswith(".")
    assert "\n" not in str(caught.value)


def test_a_folder_opens_where_it_is_one_dicom_series(shared_data: Path) -> None:
    with open_slide(shared_data / DICOM_SET) as slide:
        assert slide.info.path.name == "volume.dcm"
        assert slide.info.size_px0 == (2220, 2967)
    with pytest.raises(SlideError, match="holds 4 DICOM slides"):
        open_slide(shared_data / "slides" / "dicom")
    with pytest.raises(SlideError, match=r"a folder, not a slide.*\.mrxs"):
        open_slide(shared_data / "slides" / "aperio")


def test_files_that_are_no_slides(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="there is no such file"):
        open_slide(tmp_path / "missing.svs")
    empty, text, noise = (tmp_path / name for name in ("empty.svs", "text.svs", "noise.svs"))
    empty.write_bytes(b"")
    text.write_text("<html>404 not found</html>\n")
    noise.write_bytes(bytes(range(256)) * 8)
    with pytest.raises(SlideError, match="the file is empty"):
        open_slide(empty)
    with pytest.raises(SlideError, match="this is a text file"):
        open_slide(text)
    with pytest.raises(SlideError, match="no reader supports this format"):
        open_slide(noise)


def test_a_dicom_label_without_its_slide_says_so(shared_data: Path, tmp_path: Path) -> None:
    alone = tmp_path / "label.dcm"
    alone.write_bytes((shared_data / DICOM_SET / "label.dcm").read_bytes())
    with pytest.raises(SlideError, match="label image of a slide: put the files of the slide itself"):
        open_slide(alone)


@pytest.mark.parametrize(("then", "imported"), [("", ""), (".thumbnail(64)", "tifffile")])
def test_opening_an_svs_imports_neither_torch_nor_the_other_readers(
    cmu_slide: Path, then: str, imported: str
) -> None:
    program = (
        f"import sys; from sam_mil_engine.slide.reader import open_slide; open_slide(sys.argv[1]){then}; "
        "print(*({'torch', 'tifffile', 'zarr', 'wsidicom', 'pydicom'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, cmu_slide],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == imported
