"""Tiles decoded without OpenSlide: its very pixels, and everything odd is left to it."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import openslide
import pytest
import simplejpeg
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


def tiles_of(path: Path, sizes, cache_bytes: int = 10**6) -> TiffTiles | None:
    return TiffTiles.of(path, sizes, cache_bytes=cache_bytes)


@pytest.mark.parametrize("name", JPEG_SLIDES)
def test_the_pixels_are_openslides_at_every_level_and_at_the_far_border(shared_data: Path, name: str) -> None:
    with open_slide(shared_data / name) as slide, openslide.OpenSlide(shared_data / name) as other:
        tiles = tiles_of(slide.info.path, slide.info.level_sizes)
        assert tiles is not None
        for level, ((width, height), tile) in enumerate(
            zip(slide.info.level_sizes, slide.info.tile_sizes, strict=True)
        ):
            assert tile is not None
            last = ((width - 1) // tile[0] * tile[0], (height - 1) // tile[1] * tile[1])
            # Where a level's downsample is no whole number, OpenSlide blends neighbours inside of tiles.
            odd = (width // 3, height // 5) if level == 0 else (0, 0)
            for left, top in (odd, (last[0] // 2 // tile[0] * tile[0], 0), last):
                size = (min(2 * tile[0], width - left), min(2 * tile[1], height - top))
                scale = other.level_downsamples[level]
                expected = other.read_region((round(left * scale), round(top * scale)), level, size)
                ours = tiles.read(level, (left, top), size)
                assert ours is not None
                np.testing.assert_array_equal(ours, np.asarray(expected)[..., :3])
        tiles.close()


def jpeg_tiff(path: Path, *, side: int = 600, tile: int = 128, colours: str = "ycbcr") -> Path:
    noise = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    options = {"compressionargs": {"outcolorspace": "rgb"}} if colours == "rgb" else {}
    tifffile.imwrite(path, noise, tile=(tile, tile), compression="jpeg", photometric=colours, **options)
    return path


@pytest.mark.parametrize("colours", ["ycbcr", "rgb"])
@pytest.mark.parametrize("cache_bytes", [0, 10**6])
def test_any_rectangle_is_the_same_part_of_the_image(tmp_path: Path, colours: str, cache_bytes: int) -> None:
    path = jpeg_tiff(tmp_path / "a.tif", colours=colours)
    tiles = tiles_of(path, [(600, 600)], cache_bytes)
    with openslide.OpenSlide(path) as other:
        whole = np.asarray(other.read_region((0, 0), 0, (600, 600)))[..., :3]
    for left, top, width, height in ((0, 0, 600, 600), (77, 13, 200, 301), (128, 0, 256, 128), (599, 599, 1, 1)):
        found = tiles.read(0, (left, top), (width, height))
        np.testing.assert_array_equal(found, whole[top : top + height, left : left + width])
    tiles.close()


def test_tiles_that_were_read_in_part_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = tiles_of(jpeg_tiff(tmp_path / "a.tif"), [(600, 600)])
    decoded: list[int] = []
    decode = simplejpeg.decode_jpeg
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *a, **k: decoded.append(1) or decode(*a, **k))
    tiles.read(0, (0, 0), (192, 128))  # one tile whole, one in part
    tiles.read(0, (192, 0), (64, 128))  # its rest
    assert len(decoded) == 2
    tiles.read(0, (0, 0), (128, 128))
    assert len(decoded) == 3
    tiles.close()


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
    tiles = tiles_of(path, [(600, 600)])
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
    assert tiles_of(path, [(300, 300)]) is None
    grey = tmp_path / "grey.tif"
    tifffile.imwrite(grey, np.zeros((300, 300), np.uint8), tile=(128, 128), compression="jpeg")
    assert tiles_of(grey, [(300, 300)]) is None
    text = tmp_path / "text.tif"
    text.write_text("no slide")
    assert tiles_of(text, [(300, 300)]) is None


def test_a_tile_with_the_least_fault_is_openslides_to_judge(tmp_path: Path) -> None:
    path = jpeg_tiff(tmp_path / "a.tif")
    with tifffile.TiffFile(path) as file:
        offset, length = file.pages[0].dataoffsets[6], file.pages[0].databytecounts[6]
    whole = path.read_bytes()
    rng, left = np.random.default_rng(0), 0
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[offset + int(rng.integers(length // 3, length - 2))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        tiles, reader = tiles_of(path, [(600, 600)]), open_with_openslide(path)
        found = tiles.read(0, (128, 128), (128, 128))
        with openslide.OpenSlide(path) as other:
            theirs = np.asarray(other.read_region((128, 128), 0, (128, 128)))[..., :3]
        if found is None:
            left += 1
        else:
            np.testing.assert_array_equal(found, theirs)
        np.testing.assert_array_equal(reader.read(0, (128, 128), (128, 128)), theirs)
        tiles.close()
        reader.close()
    assert 5 < left < 40


def test_the_pyramids_tiles_are_whole_tiles_of_the_file(cmu_slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    direct: list[tuple[str, bool]] = []

    def watch(name: str) -> None:
        read = getattr(TiffTiles, name)

        def watched(self: TiffTiles, *where):
            pixels = read(self, *where)
            direct.append((name, pixels is not None))
            return pixels

        monkeypatch.setattr(TiffTiles, name, watched)

    with open_slide(cmu_slide) as slide:
        assert slide.info.tile_sizes == ((240, 240),)
        levels = open_pyramid(slide)
        assert {level.tile_size for level in levels} == {(240, 240)}
        assert levels[0].chunks == ((240,) * 12 + (87,), (240,) * 9 + (60,), (3,))
        # no tile of the viewer takes the detour
        watch("read")
        watch("read_half")
        np.asarray(levels[-1])
        assert direct.count(("read_half", True)) == 30
        # 7 x 5 tiles of half the size, of which 5 reach the odd last row: these are made of ten whole tiles
        assert direct.count(("read_half", False)) == 5
        assert direct.count(("read", True)) == 10
        assert len(direct) == 45


def test_half_of_a_tile_with_a_fault_is_left_to_the_whole(tmp_path: Path) -> None:
    path = jpeg_tiff(tmp_path / "a.tif")
    with tifffile.TiffFile(path) as file:
        offset, length = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    with path.open("r+b") as file:
        file.seek(offset + length // 2)
        file.write(b"\xff" * (length // 2))
    tiles = tiles_of(path, [(600, 600)])
    assert tiles.read_half(0, (0, 0), (128, 128)) is None
    assert tiles.read_half(0, (64, 0), (128, 128)).shape == (128, 128, 3)
    assert tiles.read_half(0, (200, 200), (101, 100)) is None, "beyond the level"
    tiles.close()


def test_halves_are_close_to_the_means_wherever_the_rectangle_lies(cmu_slide: Path) -> None:
    with open_slide(cmu_slide) as slide:
        tiles = tiles_of(cmu_slide, slide.info.level_sizes)
        whole = slide.read_level(0, (0, 0), (2220, 2966)).astype(float)
        means = (whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]) / 4
        for left, top, width, height in ((0, 0, 1110, 1483), (77, 401, 300, 201), (1109, 1482, 1, 1)):
            found = tiles.read_half(0, (left, top), (width, height))
            assert found.shape == (height, width, 3)
            assert np.abs(found - means[top : top + height, left : left + width]).mean() < 1.5
        assert tiles.read_half(0, (0, 0), (1110, 1484)) is None, "the odd last row has no half"
        tiles.close()


def test_slides_leave_nothing_behind_in_tifffiles_logger(cmu_slide: Path, tmp_path: Path) -> None:
    """A handler for every slide made each message slower, and a window that is open for long larger."""
    plain = tmp_path / "plain.tif"
    tifffile.imwrite(plain, np.zeros((300, 300, 3), np.uint8), photometric="rgb")
    known = []
    for _ in range(3):
        for path in (cmu_slide, plain):
            with open_slide(path) as slide:
                slide.read_level(0, (0, 0), (64, 64))
        known.append(len(logging.getLogger("tifffile").handlers))
    assert known == [known[0]] * 3
    assert known[0]
