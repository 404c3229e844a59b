"""TIFF files that OpenSlide opens and misreads: what the directories say decides the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from sam_mil_engine.settings import TISSUE_PRESETS
from sam_mil_engine.slide.facts import on_white, plausible_mpp
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.slide.tissue import find_tissue

CM = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
PLAIN: dict[str, Any] = {"tile": (128, 128), "photometric": "rgb", "metadata": None}


def smooth(width: int, height: int) -> npt.NDArray[np.uint8]:
    """Colours that change slowly, so that every level shows the same."""
    x, y = np.linspace(0, 1, width)[None, :], np.linspace(0, 1, height)[:, None]
    channels = [x + 0 * y, y + 0 * x, (x + y) / 2]
    return np.stack([40 + 200 * one for one in channels], axis=-1).astype(np.uint8)


BASE = smooth(1280, 1536)


def shrunk(factor: int) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(BASE[factor // 2 :: factor, factor // 2 :: factor])


def write(path: Path, *pages: tuple[npt.NDArray[Any], int], **options: Any) -> Path:
    with tifffile.TiffWriter(path) as file:
        for page, kind in pages:
            file.write(page, subfiletype=kind, **(PLAIN | CM | options))
    return path


@pytest.mark.parametrize(
    ("kinds", "marked"),
    [((1, 1, 0), True), ((0, 0, 0), False)],
    ids=["small pages first, marked", "small pages first, unmarked"],
)
def test_the_largest_image_is_the_slide_wherever_it_stands(tmp_path: Path, kinds, marked: bool) -> None:
    path = write(tmp_path / "a.tif", (shrunk(8), kinds[0]), (shrunk(2), kinds[1]), (BASE, kinds[2]))
    with open_slide(path) as slide:
        assert slide.info.level_sizes == ((1280, 1536), (640, 768), (160, 192))
        assert slide.info.mpp == (0.5, 0.5)
        assert any("not marked as levels" in note for note in slide.info.warnings) is not marked
        for level, factor in enumerate((1, 2, 8)):
            pixels = slide.read_level(level, (0, 0), slide.info.level_sizes[level])
            assert np.abs(pixels.astype(int) - shrunk(factor) if factor > 1 else pixels - BASE).max() <= 2


def test_a_pyramid_that_is_not_marked_has_its_levels(tmp_path: Path) -> None:
    with open_slide(write(tmp_path / "a.tif", (BASE, 0), (shrunk(2), 0), (shrunk(8), 0))) as slide:
        assert slide.info.level_sizes == ((1280, 1536), (640, 768), (160, 192))
        assert "640 x 768 px, 160 x 192 px" in slide.info.warnings[0]


def test_a_pyramid_that_is_marked_stays_with_openslide(tmp_path: Path) -> None:
    with open_slide(write(tmp_path / "a.tif", (BASE, 0), (shrunk(2), 1))) as slide:
        assert (slide.info.reader, slide.info.level_sizes) == ("openslide", ((1280, 1536), (640, 768)))
        assert slide.info.warnings == ()


def test_several_images_in_one_file_are_said(tmp_path: Path) -> None:
    with open_slide(write(tmp_path / "same.tif", (BASE[:768], 0), (BASE[768:], 0))) as slide:
        assert any("several planes (2" in note for note in slide.info.warnings)
    label = np.full((200, 300, 3), 9, np.uint8)
    with open_slide(write(tmp_path / "label.tif", (BASE, 0), (label, 0))) as slide:
        assert slide.info.level_sizes == ((1280, 1536),)
        assert any("further images (300 x 200 px)" in note for note in slide.info.warnings)


@pytest.mark.parametrize("bits", [9, 10, 12, 15, 16])
@pytest.mark.parametrize("tiled", [True, False])
def test_deep_samples_fill_the_range_tiled_or_not(tmp_path: Path, bits: int, tiled: bool) -> None:
    deep = (BASE.astype(np.float64) / 255 * (2**bits - 1)).astype(np.uint16)
    deep[0, 0] = 2**bits - 1
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, deep, **(PLAIN | CM | {"tile": (128, 128) if tiled else None}))
    with open_slide(path) as slide:
        pixels = slide.read_level(0, (0, 0), (1280, 1536)).astype(int)
        assert np.abs(pixels - BASE)[1:].max() <= 1
        assert any(f"the range of {bits} bits" in note for note in slide.info.warnings)


@pytest.mark.parametrize("tiled", [True, False])
def test_a_fourth_sample_that_is_not_declared_hides_nothing(tmp_path: Path, tiled: bool) -> None:
    path = tmp_path / "rgbx.tif"
    extra = np.dstack([BASE, np.zeros(BASE.shape[:2], np.uint8)])
    options = PLAIN | {"tile": (128, 128) if tiled else None}
    tifffile.imwrite(path, extra, extrasamples=["UNSPECIFIED"], **options)
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_level(0, (0, 0), (1280, 1536)), BASE)
        assert any("not declared as transparency" in note for note in slide.info.warnings)
        assert len(find_tissue(slide, TISSUE_PRESETS["biopsy"]))


def test_premultiplied_colours_are_not_multiplied_again() -> None:
    half = np.array([[[100, 50, 0, 128]]], np.uint8)
    assert on_white(half, premultiplied=True).tolist() == [[[227, 177, 127]]]
    assert on_white(half).tolist() == [[[177, 152, 127]]]


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_the_resolution_of_imagej(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "imagej.tif"
    metadata = {"unit": unit, "axes": "YXS"}
    tifffile.imwrite(path, BASE, imagej=True, resolution=(4, 2), metadata=metadata)
    with open_slide(path) as slide:
        assert slide.info.mpp == (0.25, 0.5)


def test_imagej_without_a_unit_of_length_has_no_resolution(tmp_path: Path) -> None:
    path = tmp_path / "imagej.tif"
    tifffile.imwrite(path, BASE, imagej=True, resolution=(4, 2), metadata={"unit": "pixel", "axes": "YXS"})
    with open_slide(path) as slide:
        assert slide.info.mpp is None


def test_one_physical_size_speaks_for_both_and_is_said(tmp_path: Path) -> None:
    path = tmp_path / "one.ome.tif"
    tifffile.imwrite(path, BASE, photometric="rgb", metadata={"axes": "YXS", "PhysicalSizeX": 0.25})
    with open_slide(path) as slide:
        assert slide.info.mpp == (0.25, 0.25)
        assert any("width alone" in note for note in slide.info.warnings)
    assert plausible_mpp(None, 0.5)[0] == (0.5, 0.5)
    assert plausible_mpp(0.5, None)[1][0].count("width alone") == 1
    assert plausible_mpp(5000, None)[0] is None


def test_padded_levels_lie_where_they_belong(tmp_path: Path) -> None:
    """Levels filled up to whole tiles, as Philips stores them, in a file that no longer says so."""
    pages = [(BASE[:1500, :1100], 0)]
    for factor in (2, 4, 8):
        level = np.full((-(-1500 // factor // 128) * 128, -(-1100 // factor // 128) * 128, 3), 255, np.uint8)
        seen = BASE[:1500, :1100][factor // 2 :: factor, factor // 2 :: factor]
        level[: seen.shape[0], : seen.shape[1]] = seen
        pages.append((level, 1))
    with open_slide(write(tmp_path / "padded.tif", *pages)) as slide:
        assert slide.info.level_sizes == ((1100, 1500), (550, 750), (275, 375), (138, 188))
        assert [round(x) for x, _ in slide.info.level_downsamples] == [1, 2, 4, 8]
        assert sum("padded" in note for note in slide.info.warnings) == 3
        image, frame = slide.thumbnail(100)
        corners = frame.to_px0([(10, 10), (50, 60)])
        for (x, y), (column, row) in zip(corners, [(10, 10), (50, 60)], strict=True):
            assert np.abs(image[row, column].astype(int) - BASE[int(y), int(x)]).max() <= 6
