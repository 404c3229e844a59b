"""Tiles decoded without OpenSlide: its very pixels, and everything odd is left to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from sam_mil_engine.slide.openslide_reader import open_with_openslide
from sam_mil_engine.slide.pyramid import open_pyramid
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.slide.tiff_tiles import TiffTiles

JPEG_SLIDES = (
    "slides/aperio/CMU-1-Small-Region.svs",
    "slides/generic-tiff/P2_0039_section1_upper.tif",
    "slides/generic-tiff/CMU-small-pyramid.tiff",
    "slides/openslide-fixtures/small.svs",
    "unusual/CMU-1-Small-Region_wrong_mpp.jpeg.tiff",
)


@pytest.mark.parametrize("name", JPEG_SLIDES)
def test_the_pixels_are_openslides_at_every_level_and_at_the_far_border(shared_data: Path, name: str) -> None:
    with open_slide(shared_data / name) as slide, openslide.OpenSlide(shared_data / name) as other:
        tiles = TiffTiles.of(slide.info.path, slide.info.level_sizes)
        assert tiles is not None
        for level, ((width, height), tile) in enumerate(
            zip(slide.info.level_sizes, slide.info.tile_sizes, strict=True)
        ):
            assert tile is not None
            last = ((width - 1) // tile[0] * tile[0], (height - 1) // tile[1] * tile[1])
            for left, top in ((0, 0), (last[0] // 2 // tile[0] * tile[0], 0), last):
                size = (min(2 * tile[0], width - left), min(2 * tile[1], height - top))
                scale = other.level_downsamples[level]
                expected = other.read_region((round(left * scale), round(top * scale)), level, size)
                ours = tiles.read(level, (left, top), size)
                assert ours is not None
                np.testing.assert_array_equal(ours, np.asarray(expected)[..., :3])
        tiles.close()


def jpeg_tiff(path: Path, *, side: int = 600, tile: int = 128) -> Path:
    noise = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    tifffile.imwrite(path, noise, tile=(tile, tile), compression="jpeg", photometric="ycbcr")
    return path


def test_what_is_not_whole_tiles_is_left_to_openslide(tmp_path: Path) -> None:
    path = jpeg_tiff(tmp_path / "a.tif")
    tiles = TiffTiles.of(path, [(600, 600)])
    assert tiles is not None
    for location, size in (((1, 0), (128, 128)), ((0, 0), (127, 128)), ((512, 512), (87, 88))):
        assert tiles.read(0, location, size) is None
    assert tiles.read(0, (512, 512), (88, 88)).shape == (88, 88, 3)
    tiles.close()
    reader = open_with_openslide(path)
    whole = reader.read(0, (0, 0), (600, 600))
    np.testing.assert_array_equal(reader.read_for_display(0, (77, 13), (200, 301)), whole[13:314, 77:277])
    np.testing.assert_array_equal(reader.read_for_display(0, (128, 0), (256, 128)), whole[:128, 128:384])
    reader.close()


@pytest.mark.parametrize("damage", ["absent", "garbage", "ends early", "beyond the file"])
def test_a_damaged_tile_is_left_to_openslide(tmp_path: Path, damage: str) -> None:
    path = jpeg_tiff(tmp_path / "a.tif")
    with tifffile.TiffFile(path, mode="r+b") as file:
        page = file.pages[0]
        offsets, lengths = list(page.dataoffsets), list(page.databytecounts)
        if damage == "absent":
            page.tags["TileByteCounts"].overwrite([*lengths[:6], 0, *lengths[7:]])
        elif damage == "beyond the file":
            page.tags["TileOffsets"].overwrite([*offsets[:6], 2**31, *offsets[7:]])
        else:
            file.filehandle.seek(offsets[6])
            if damage == "ends early":
                file.filehandle.seek(lengths[6] // 2, 1)
            file.filehandle.write(b"\xff\xd9" * 10 if damage == "ends early" else bytes(lengths[6]))
    tiles = TiffTiles.of(path, [(600, 600)])
    assert tiles is not None
    assert tiles.read(0, (0, 0), (128, 128)) is not None
    assert tiles.read(0, (128, 128), (128, 128)) is None
    tiles.close()


@pytest.mark.parametrize("compression", [None, "deflate", "lzw"])
def test_files_without_jpeg_tiles_have_none(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros((300, 300, 3), np.uint8), tile=(128, 128), photometric="rgb", compression=compression
    )
    assert TiffTiles.of(path, [(300, 300)]) is None
    grey = tmp_path / "grey.tif"
    tifffile.imwrite(grey, np.zeros((300, 300), np.uint8), tile=(128, 128), compression="jpeg")
    assert TiffTiles.of(grey, [(300, 300)]) is None
    text = tmp_path / "text.tif"
    text.write_text("no slide")
    assert TiffTiles.of(text, [(300, 300)]) is None


def test_what_is_computed_from_a_slide_is_read_by_openslide(
    cmu_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TiffTiles, "read", lambda *_: np.zeros((240, 240, 3), np.uint8))
    with open_slide(cmu_slide) as slide:
        assert slide.read_level(0, (240, 240), (240, 240)).any()
        assert slide.read_region((240, 240), 0, (240, 240)).any()
        assert not slide.read_level(0, (240, 240), (240, 240), for_display=True).any()


def test_the_pyramids_tiles_are_whole_tiles_of_the_file(cmu_slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    direct: list[bool] = []
    read = TiffTiles.read

    def watched(self: TiffTiles, *where):
        pixels = read(self, *where)
        direct.append(pixels is not None)
        return pixels

    with open_slide(cmu_slide) as slide:
        assert slide.info.tile_sizes == ((240, 240),)
        levels = open_pyramid(slide)
        assert {level.tile_size for level in levels} == {(240, 240)}
        assert levels[0].chunks == ((240,) * 12 + (87,), (240,) * 9 + (60,), (3,))
        # no tile of the viewer takes the detour
        monkeypatch.setattr(TiffTiles, "read", watched)
        np.asarray(levels[-1])
        assert len(direct) == 130
        assert all(direct)
