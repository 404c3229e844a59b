"""Which image of a TIFF file is the slide, what its levels are, and how its samples are shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from sam_mil_engine.errors import SlideError
from sam_mil_engine.slide.levels import in_proportion
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.slide.tiff_header import read_directories
from sam_mil_engine.slide.tiff_routing import openslide_misreads

HALF_A_MICRON: dict[str, Any] = {"resolutionunit": "CENTIMETER", "resolution": (20000, 20000)}
TILED: dict[str, Any] = {"tile": (128, 128), "metadata": None, **HALF_A_MICRON}
Image = npt.NDArray[Any]


def tissue(height: int = 768, width: int = 640) -> npt.NDArray[np.uint8]:
    """White glass with pink blobs, so that no two places look the same."""
    rng = np.random.default_rng(8)
    image = np.full((height, width, 3), 244, np.uint8)
    for _ in range(30):
        centre = (int(rng.integers(width // 4, width)), int(rng.integers(height // 4, height)))
        colour = rng.integers(90, 220, 3).tolist()
        cv2.circle(image, centre, int(rng.integers(10, 60)), colour, -1)
    return image


def smaller(image: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    size = (image.shape[1] // factor, image.shape[0] // factor)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def write_pages(path: Path, pages: Sequence[tuple[npt.NDArray[np.uint8], int]], **options: Any) -> Path:
    """Write pages with their NewSubfileType: 1 marks a smaller version of another page."""
    with tifffile.TiffWriter(path) as file:
        for page, kind in pages:
            file.write(page, subfiletype=kind, photometric="rgb", **{**TILED, **options})
    return path


@pytest.mark.parametrize("kind", [0, 1])
def test_small_pages_that_come_first_are_not_the_slide(tmp_path: Path, kind: int) -> None:
    image = tissue()
    path = write_pages(tmp_path / "first.tif", [(smaller(image, 8), kind), (smaller(image, 2), kind), (image, 0)])
    with open_slide(path) as slide:
        assert slide.info.level_sizes == ((640, 768), (320, 384), (80, 96))
        assert slide.info.mpp == (0.5, 0.5)
        np.testing.assert_array_equal(slide.read_level(0, (100, 200), (300, 300)), image[200:500, 100:400])
        np.testing.assert_array_equal(slide.read_level(2, (0, 0), (80, 96)), smaller(image, 8))


def test_levels_without_a_mark_are_found_and_said(tmp_path: Path) -> None:
    image = tissue()
    path = write_pages(tmp_path / "unmarked.tif", [(image, 0), (smaller(image, 2), 0), (smaller(image, 8), 0)])
    with open_slide(path) as slide:
        assert slide.info.level_sizes == ((640, 768), (320, 384), (80, 96))
        assert slide.info.warnings == (
            "Images that are not marked as levels are used as levels, because they show the same image: "
            "320 x 384 px, 80 x 96 px.",
        )


@pytest.mark.parametrize("kind", [0, 1])
def test_another_image_of_the_shape_of_a_level_is_not_a_level(tmp_path: Path, kind: int) -> None:
    image = tissue(512, 512)
    other = np.ascontiguousarray(smaller(image, 2)[::-1])
    with open_slide(write_pages(tmp_path / "two.tif", [(other, kind), (image, 0)])) as slide:
        assert slide.info.level_sizes == ((512, 512),)
        note = "The file holds further images (256 x 256 px); only the largest is used."
        assert slide.info.warnings == (note,)


def test_images_of_one_size_are_counted(tmp_path: Path) -> None:
    image = tissue()
    with open_slide(write_pages(tmp_path / "three.tif", [(image, 0), (image[::-1], 0), (image, 0)])) as slide:
        np.testing.assert_array_equal(slide.read_level(0, (0, 0), (640, 768)), image)
        assert slide.info.warnings == ("The file holds several planes (3 along I); only the first is used.",)


def test_a_larger_image_in_strips_behind_a_tiled_one_is_the_slide(tmp_path: Path) -> None:
    image, path = tissue(), tmp_path / "strips.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(smaller(image, 2), photometric="rgb", **TILED)
        file.write(image, photometric="rgb", metadata=None, **HALF_A_MICRON)
    with open_slide(path) as slide:
        assert slide.info.level_sizes == ((640, 768), (320, 384))


def test_a_marked_pyramid_with_a_label_stays_with_openslide(tmp_path: Path) -> None:
    image, path = tissue(), tmp_path / "label.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(image, photometric="rgb", **TILED)
        file.write(smaller(image, 2), subfiletype=1, photometric="rgb", **TILED)
        file.write(image[:60, :50], photometric="rgb", metadata=None)
    with open_slide(path) as slide:
        assert (slide.info.reader, slide.info.warnings) == ("openslide", ())
        assert slide.info.level_sizes == ((640, 768), (320, 384))


@pytest.mark.parametrize("bits", [9, 10, 12, 15, 16])
@pytest.mark.parametrize("name", ["deep.tif", "deep.svs"])
def test_samples_of_9_to_16_bits_are_as_bright_in_tiles_as_in_strips(tmp_path: Path, bits: int, name: str) -> None:
    path, image = tmp_path / name, tissue().astype(np.uint16) << (bits - 8)
    described = {"description": "Aperio Image\r\n640x768 |AppMag = 20|MPP = 0.5"} if name.endswith("svs") else {}
    tifffile.imwrite(path, image, photometric="rgb", **TILED, **described)
    with open_slide(path) as slide:
        assert slide.info.reader == "tifffile"
        assert slide.info.mpp == (0.5, 0.5)
        assert slide.read_level(0, (0, 0), (50, 50)).mean() == pytest.approx(244, abs=1.5)
        assert any(f"{bits} bits" in sentence for sentence in slide.info.warnings)


def test_the_range_of_a_large_single_level_is_searched_in_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sam_mil_engine.slide.tiff_layout.SEARCHED_PIXELS", 1000)
    tifffile.imwrite(tmp_path / "deep.tif", tissue().astype(np.uint16) * 16, photometric="rgb", **TILED)
    with open_slide(tmp_path / "deep.tif") as slide:
        assert slide.read_level(0, (0, 0), (50, 50)).mean() == pytest.approx(244, abs=1.5)


@pytest.mark.parametrize("options", [TILED, {"metadata": None}])
@pytest.mark.parametrize("value", [0, 255])
def test_a_fourth_sample_that_is_not_declared_hides_nothing(
    tmp_path: Path, options: dict[str, Any], value: int
) -> None:
    image, path = tissue(), tmp_path / "extra.tif"
    extra = np.full(image.shape[:2], value, np.uint8)
    tifffile.imwrite(path, np.dstack([image, extra]), photometric="rgb", extrasamples=["UNSPECIFIED"], **options)
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_level(0, (0, 0), (640, 768)), image)
        assert any("Sample 4" in sentence for sentence in slide.info.warnings)


@pytest.mark.parametrize("options", [TILED, {"metadata": None}])
def test_both_kinds_of_alpha_are_shown_on_white(tmp_path: Path, options: dict[str, Any]) -> None:
    image = np.full((256, 256, 3), 100, np.uint8)
    alpha = np.full((256, 256), 128, np.uint8)
    seen = []
    for kind, colours in (("UNASSALPHA", image), ("ASSOCALPHA", image // 2)):
        path = tmp_path / f"{kind}.tif"
        tifffile.imwrite(path, np.dstack([colours, alpha]), photometric="rgb", extrasamples=[kind], **options)
        with open_slide(path) as slide:
            seen.append(int(slide.read_level(0, (9, 9), (1, 1))[0, 0, 0]))
    assert seen == pytest.approx([177, 177], abs=1)


@pytest.mark.parametrize("kind", ["UNSPECIFIED", "UNASSALPHA"])
def test_grey_with_a_second_sample_is_grey(tmp_path: Path, kind: str) -> None:
    grey, path = tissue()[..., 1], tmp_path / "grey.tif"
    second = np.full_like(grey, 0 if kind == "UNSPECIFIED" else 255)
    tifffile.imwrite(
        path,
        np.dstack([grey, second]),
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=[kind],
        **TILED,
    )
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_level(0, (0, 0), (640, 768))[..., 0], grey)


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "words"),
    [
        ((256, 256, 5), np.uint8, {"photometric": "rgb", "extrasamples": [0, 0]}, "5 channels"),
        ((256, 256, 7), np.uint8, {"photometric": "minisblack", "extrasamples": [0] * 6}, "7 channels"),
        ((256, 256, 3), np.int8, {"photometric": "rgb"}, "pixels of type int8"),
        ((256, 256, 3), np.int16, {"photometric": "rgb"}, "pixels of type int16"),
        ((256, 256, 3), np.float32, {"photometric": "rgb"}, "pixels of type float32"),
    ],
)
def test_what_openslide_would_show_in_part_is_refused(
    tmp_path: Path, shape: tuple[int, ...], dtype: Any, options: dict[str, Any], words: str
) -> None:
    path = tmp_path / "tiled.tif"
    tifffile.imwrite(path, np.zeros(shape, dtype), planarconfig="contig", **options, **TILED)
    with pytest.raises(SlideError, match=words):
        open_slide(path)


def test_four_stains_are_not_colours_and_alpha(tmp_path: Path) -> None:
    path = tmp_path / "stains.ome.tif"
    tifffile.imwrite(path, np.zeros((4, 64, 64), np.uint8), photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(SlideError, match="4 channels"):
        open_slide(path)


@pytest.mark.parametrize("tile", [None, (128, 128)])
@pytest.mark.parametrize(
    ("unit", "per_unit", "mpp"),
    [("um", 2, 0.5), ("micron", 4, 0.25), ("\\u00B5m", 2, 0.5), ("nm", 0.004, 0.25), ("mm", 2000, 0.5)],
)
def test_imagej_states_its_resolution_in_its_own_unit(
    tmp_path: Path, unit: str, per_unit: float, mpp: float, tile: tuple[int, int] | None
) -> None:
    path = tmp_path / "imagej.tif"
    metadata = {"unit": unit, "axes": "YXS"}
    tifffile.imwrite(path, tissue(), imagej=True, resolution=(per_unit, per_unit), metadata=metadata, tile=tile)
    with open_slide(path) as slide:
        assert slide.info.mpp == (pytest.approx(mpp), pytest.approx(mpp))


def test_pixels_per_pixel_are_no_resolution(tmp_path: Path) -> None:
    path = tmp_path / "imagej.tif"
    tifffile.imwrite(path, tissue(), imagej=True, resolution=(2, 2), metadata={"unit": "pixel", "axes": "YXS"})
    with open_slide(path) as slide:
        assert (slide.info.mpp, slide.info.warnings) == (None, ())


def test_a_size_along_x_alone_holds_for_both_axes(tmp_path: Path) -> None:
    path = tmp_path / "x.ome.tif"
    tifffile.imwrite(path, tissue(), photometric="rgb", metadata={"axes": "YXS", "PhysicalSizeX": 0.5})
    with open_slide(path) as slide:
        assert slide.info.mpp == (0.5, 0.5)
        assert "width alone" in slide.info.warnings[0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["turned.tif", "turned.svs"])
def test_an_orientation_does_not_turn_the_tiles_one_by_one(tmp_path: Path, orientation: int, name: str) -> None:
    image, path = tissue(), tmp_path / name
    described = {"description": "Aperio Image\r\n640x768 |AppMag = 20|MPP = 0.5"} if name.endswith("svs") else {}
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(path, image, photometric="rgb", extratags=[tag], **TILED, **described)
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_level(0, (0, 0), (640, 768)), image)


def test_tiles_that_are_missing_are_white(tmp_path: Path) -> None:
    image, path = tissue(), tmp_path / "sparse.ome.tif"
    tifffile.imwrite(path, image, photometric="rgb", tile=(128, 128), metadata={"axes": "YXS"})
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages[0].tags
        for name in ("TileOffsets", "TileByteCounts"):
            values = list(tags[name].value)
            tags[name].overwrite([0, *values[1:]])
    with open_slide(path) as slide:
        assert (slide.read_level(0, (0, 0), (128, 128)) == 255).all()
        np.testing.assert_array_equal(slide.read_level(0, (128, 0), (512, 768)), image[:, 128:])


@pytest.mark.parametrize("ending", ["qptiff", "btf", "tf8", "tif"])
def test_the_ending_of_the_name_does_not_matter(tmp_path: Path, ending: str) -> None:
    image, path = tissue(), tmp_path / f"slide.{ending}"
    tifffile.imwrite(path, image, photometric="rgb", bigtiff=True, **TILED)
    with open_slide(path) as slide:
        assert (slide.info.size_px0, slide.info.mpp) == ((640, 768), (0.5, 0.5))
        np.testing.assert_array_equal(slide.read_level(0, (0, 0), (640, 768)), image)


def test_an_ome_set_without_the_file_of_its_first_plane_says_which(tmp_path: Path) -> None:
    planes = tissue().transpose(2, 0, 1)
    plane = (
        '<TiffData FirstC="{0}" IFD="0" PlaneCount="1"><UUID FileName="c{0}.ome.tif">urn:uuid:{0}</UUID></TiffData>'
    )
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{0}"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="640" SizeY="768" SizeC="3" SizeZ="1" '
        'SizeT="1" PhysicalSizeX="0.5" PhysicalSizeY="0.5">'
        + "".join(plane.format(number) for number in range(3))
        + "</Pixels></Image></OME>"
    )
    for number in range(3):
        tifffile.imwrite(
            tmp_path / f"c{number}.ome.tif", planes[number], description=xml.format(number), metadata=None
        )
    with open_slide(tmp_path / "c0.ome.tif") as slide:
        np.testing.assert_array_equal(slide.read_level(0, (0, 0), (640, 768)), planes.transpose(1, 2, 0))
    (tmp_path / "c1.ome.tif").unlink()
    with pytest.raises(SlideError, match=r"other files, which are missing: c1\.ome\.tif"):
        open_slide(tmp_path / "c0.ome.tif")


def test_a_damaged_image_that_may_be_a_level_does_not_stop_the_slide(tmp_path: Path) -> None:
    image = tissue()
    path = write_pages(tmp_path / "damaged.tif", [(image, 0), (smaller(image, 2), 0)], compression="deflate")
    with tifffile.TiffFile(path) as file:
        (start, length) = file.pages[1].dataoffsets[0], file.pages[1].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[start : start + length] = bytes(length)
    path.write_bytes(content)
    with open_slide(path) as slide:
        assert slide.info.level_sizes == ((640, 768),)
        assert "An image of 320 x 384 px may be a level, but cannot be compared" in slide.info.warnings[0]


def test_a_ventana_slide_that_openslide_refuses_says_that_tiles_are_not_joined(tmp_path: Path) -> None:
    path, xmp = tmp_path / "slide.bif", b"<iScan></iScan>"
    tifffile.imwrite(
        path,
        tissue(),
        photometric="rgb",
        description="level=0 mag=40 quant=95",
        software="ScanOutputManager 1.1",
        extratags=[(700, "B", len(xmp), xmp, True)],
        **TILED,
    )
    with open_slide(path) as slide:
        assert (slide.info.reader, slide.info.vendor) == ("tifffile", "bif")
        assert any("are not joined" in sentence for sentence in slide.info.warnings)


@pytest.mark.parametrize(("big", "order"), [(False, "<"), (False, ">"), (True, "<"), (True, ">")])
def test_directories_are_read_in_every_kind_of_tiff(tmp_path: Path, big: bool, order: Any) -> None:
    path = tmp_path / "kinds.tif"
    with tifffile.TiffWriter(path, bigtiff=big, byteorder=order) as file:
        file.write(
            np.zeros((300, 200, 4), np.uint16),
            photometric="rgb",
            extrasamples=["ASSOCALPHA"],
            description="x" * 9000,
            **TILED,
        )
        file.write(np.zeros((30, 20), np.uint8), subfiletype=1, metadata=None)
    first, second = read_directories(path)
    assert (first.size, first.tile, first.bits, first.samples) == ((200, 300), (128, 128), 16, 4)
    assert (first.reduced, first.description) == (False, "x" * 4096)
    assert (second.size, second.tile, second.reduced, second.unsigned) == ((20, 30), None, True, True)


def test_damaged_directories_are_left_to_the_readers(tmp_path: Path) -> None:
    path, whole = tmp_path / "cut.tif", tmp_path / "whole.tif"
    tifffile.imwrite(whole, tissue(), photometric="rgb", **TILED)
    content = whole.read_bytes()
    for length in (4, 8, 10, 40, 200):
        path.write_bytes(content[:length])
        assert openslide_misreads(path, "generic-tiff") is False
    endless = bytearray(b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0")
    path.write_bytes(endless)
    assert len(read_directories(path)) == 1


@pytest.mark.parametrize(
    ("size", "small", "fits"),
    [
        ((1000, 700), (334, 234), True),
        ((1000, 700), (334, 240), False),
        ((1000, 700), (1, 1), True),
        ((9, 9), (0, 0), False),
    ],
)
def test_proportion_allows_for_rounding(size: tuple[int, int], small: tuple[int, int], fits: bool) -> None:
    assert in_proportion(size, small) is fits
