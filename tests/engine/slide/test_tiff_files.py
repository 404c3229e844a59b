"""TIFF files that OpenSlide refuses, written here in every layout that is read or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from sam_mil_engine.errors import SlideError
from sam_mil_engine.slide import tiff_layout, tifffile_reader
from sam_mil_engine.slide.ome import ome_facts
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.slide.slide import Slide
from sam_mil_engine.slide.tiff_header import orientation_warnings


def noise(*shape: int, dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
    return np.random.default_rng(3).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def open_tiff(path: Path) -> Slide:
    reader = tifffile_reader.open_with_tifffile(path)
    assert reader is not None
    return Slide(reader)


def test_an_ome_pyramid_in_sub_ifds(tmp_path: Path) -> None:
    path, image = tmp_path / "pyramid.ome.tif", noise(600, 700, 3)
    with tifffile.TiffWriter(path, ome=True) as file:
        metadata = {"axes": "YXS", "PhysicalSizeX": 500.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25}
        file.write(image, subifds=2, tile=(128, 128), photometric="rgb", metadata=metadata)
        for factor in (2, 4):
            file.write(image[::factor, ::factor], subfiletype=1, tile=(128, 128), photometric="rgb")
    with open_slide(path) as slide:
        assert slide.info.level_sizes == ((700, 600), (350, 300), (175, 150))
        assert (slide.info.reader, slide.info.vendor, slide.info.slide_id) == ("tifffile", "ome-tiff", "pyramid")
        assert slide.info.mpp == (0.5, 0.25)
        np.testing.assert_array_equal(slide.read_region((100, 200), 0, (300, 250)), image[200:450, 100:400])
        np.testing.assert_array_equal(slide.read_level(2, (20, 30), (99, 77)), image[::4, ::4][30:107, 20:119])


def test_channel_first_rgb(tmp_path: Path) -> None:
    path, image = tmp_path / "planar.ome.tif", noise(3, 90, 120)
    tifffile.imwrite(path, image, photometric="minisblack", metadata={"axes": "CYX"})
    with open_slide(path) as slide:
        assert slide.info.size_px0 == (120, 90)
        np.testing.assert_array_equal(
            slide.read_region((10, 20), 0, (50, 40)), image[:, 20:60, 10:60].transpose(1, 2, 0)
        )
        assert slide.info.warnings == ("3 separate channels are shown as red, green and blue.",)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_is_shown_as_grey_rgb(tmp_path: Path, photometric: str) -> None:
    path, image = tmp_path / "grey.tif", noise(50, 60)
    tifffile.imwrite(path, image, photometric=photometric)
    expected = image if photometric == "minisblack" else 255 - image
    with open_slide(path) as slide:
        pixels = slide.read_region((0, 0), 0, (60, 50))
    for channel in range(3):
        np.testing.assert_array_equal(pixels[..., channel], expected)


def test_twelve_bit_values_fill_the_range_and_a_warning_says_so(tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    image = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    tifffile.imwrite(path, image)
    with open_slide(path) as slide:
        pixels = slide.read_region((0, 0), 0, (64, 64))[..., 0]
        assert any("12 bits (0 to 4095)" in sentence for sentence in slide.info.warnings)
    np.testing.assert_array_equal(pixels, np.rint(image / 4095 * 255))


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    path, image = tmp_path / "palette.tif", noise(40, 40)
    colours = noise(3, 256)
    tifffile.imwrite(path, image, photometric="palette", colormap=colours.astype(np.uint16) * 257)
    with open_tiff(path) as slide:
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, (40, 40)), colours.T[image])


def test_transparency_is_composited_on_white(tmp_path: Path) -> None:
    path, image = tmp_path / "rgba.tif", noise(20, 20, 4)
    image[..., 3] = 0
    tifffile.imwrite(path, image, photometric="rgb", extrasamples=["unassalpha"])
    with open_tiff(path) as slide:
        assert (slide.read_region((0, 0), 0, (20, 20)) == 255).all()
        assert slide.info.warnings == ("Every pixel is marked as transparent: the slide is shown as white.",)


def test_of_several_planes_the_first_is_used_with_a_warning(tmp_path: Path) -> None:
    path, stack = tmp_path / "stack.ome.tif", noise(4, 50, 60)
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"})
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, (60, 50))[..., 0], stack[0])
        assert any("4 along Z" in sentence for sentence in slide.info.warnings)


@pytest.mark.parametrize(
    ("options", "shape", "dtype", "words"),
    [
        ({"metadata": {"axes": "CYX"}, "ome": True}, (2, 40, 40), np.uint8, "2 channels"),
        ({"metadata": {"axes": "CYX"}, "ome": True}, (7, 40, 40), np.uint16, "7 channels"),
        ({}, (40, 40), np.float32, "pixels of type float32"),
        ({}, (40, 40), np.int16, "pixels of type int16"),
        ({"photometric": "separated"}, (40, 40, 4), np.uint8, "SEPARATED colours"),
    ],
)
def test_what_is_not_shown_is_refused_with_a_way_out(
    tmp_path: Path, options: dict[str, Any], shape: tuple[int, ...], dtype: Any, words: str
) -> None:
    path = tmp_path / "refused.tif"
    tifffile.imwrite(path, np.zeros(shape, dtype=dtype), **options)
    with pytest.raises(SlideError, match=words) as caught:
        open_slide(path)
    assert caught.value.hint is not None
    assert "RGB" in caught.value.hint or "8 or 16 bits" in caught.value.hint


def test_an_image_in_one_huge_piece_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, noise(256, 256), rowsperstrip=256)
    monkeypatch.setattr(tiff_layout, "LARGEST_CHUNK_BYTES", 60_000)
    with pytest.raises(SlideError, match="stored in one piece") as caught:
        open_slide(path)
    assert caught.value.hint is not None
    assert "tiled pyramid" in caught.value.hint


@pytest.mark.parametrize(("big", "order"), [(False, "<"), (False, ">"), (True, "<"), (True, ">")])
def test_the_orientation_tag_is_reported(tmp_path: Path, big: bool, order: str) -> None:
    turned, upright = tmp_path / "turned.tif", tmp_path / "upright.tif"
    tag = (274, "H", 1, 6, True)
    tifffile.imwrite(turned, noise(20, 20), bigtiff=big, byteorder=order, extratags=[tag])
    tifffile.imwrite(upright, noise(20, 20), bigtiff=big, byteorder=order)
    assert "orientation 6" in orientation_warnings(turned)[0]
    assert orientation_warnings(upright) == ()


def test_ome_headers_that_are_broken_or_hostile_state_nothing() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "cc"><!ENTITY d "&b;&b;">]><OME>&d;</OME>'
    assert ome_facts("<OME", (1, 1)) == (None, None, None)
    assert ome_facts(bomb, (1, 1)) == (None, None, None)
    assert ome_facts("<OME/>", (1, 1)) == (None, None, None)
    xml = (
        '<OME xmlns="x"><Instrument><Objective NominalMagnification="40"/></Instrument><Image>'
        '<Pixels SizeX="9" SizeY="9" PhysicalSizeX="9"/></Image><Image><Pixels SizeX="4" SizeY="5" '
        'PhysicalSizeX="0.0003" PhysicalSizeXUnit="mm" PhysicalSizeY="0.4" PhysicalSizeYUnit="parsec"/></Image>'
        "</OME>"
    )
    assert ome_facts(xml, (4, 5)) == (pytest.approx(0.3), None, 40.0)
