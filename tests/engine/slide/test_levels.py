"""Levels that are padded to whole tiles, or are no version of the slide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from sam_mil_engine.slide.levels import usable_levels
from sam_mil_engine.slide.openslide_reader import open_with_openslide
from sam_mil_engine.slide.pyramid import open_pyramid
from sam_mil_engine.slide.slide import Slide, SlideReader
from sam_mil_engine.slide.tifffile_reader import open_with_tifffile

TILE = (512, 512)


def padded_sizes(width: int, height: int, factors: list[int], tile: int = 512) -> list[tuple[int, int]]:
    """Sizes as Philips stores them: every level up to whole tiles."""
    return [(-(-width // (one * tile)) * tile, -(-height // (one * tile)) * tile) for one in factors]


def test_factors_of_seven_and_a_half_and_eleven_mean_sixteen() -> None:
    stored = [(3840, 5632), (2048, 3072), (1024, 1536), (512, 1024), (512, 512)]
    levels = usable_levels(stored, [TILE] * 5)
    assert levels.numbers == (0, 1, 2, 3, 4)
    assert levels.sizes == ((3840, 5632), (1920, 2816), (960, 1408), (480, 704), (240, 352))
    assert len(levels.warnings) == 4
    assert "Level 4 has 512 x 512 px" in levels.warnings[3]
    assert "16 times less" in levels.warnings[3]


@pytest.mark.parametrize(
    ("width", "height"), [(3900, 5600), (45056, 35840), (70000, 20000), (5000, 5000), (600, 9000)]
)
def test_every_padded_level_gets_its_factor(width: int, height: int) -> None:
    factors = [2**power for power in range(8)]
    stored = padded_sizes(width, height, factors)
    levels = usable_levels(stored, [TILE] * 8)
    assert levels.numbers == tuple(range(8))
    for (shown_width, shown_height), factor in zip(levels.sizes, factors, strict=True):
        assert shown_width == -(-stored[0][0] // factor)
        assert shown_height == -(-stored[0][1] // factor)


def test_a_single_level_is_the_nearest_power_of_two_that_fits() -> None:
    levels = usable_levels([(3840, 5632), (512, 512)], [None, TILE])
    assert levels.sizes == ((3840, 5632), (240, 352))


def test_levels_of_one_size_have_factors_of_their_own() -> None:
    stored = [(3840, 5632), (2048, 3072), (1024, 1536), (512, 1024), (512, 512), (512, 512), (512, 512)]
    assert usable_levels(stored, [TILE] * 7).sizes[4:] == ((240, 352), (120, 176), (60, 88))


def test_a_square_slide_is_padded_where_width_and_height_agree() -> None:
    stored = [(4608, 4608), (2560, 2560), (1536, 1536), (1024, 1024), (512, 512)]
    levels = usable_levels(stored, [TILE] * 5)
    assert levels.sizes == ((4608, 4608), (2304, 2304), (1152, 1152), (576, 576), (288, 288))


def test_padded_levels_four_times_apart_keep_their_step() -> None:
    levels = usable_levels(padded_sizes(3840, 5632, [1, 4, 16, 64]), [TILE] * 4)
    assert levels.sizes[1:] == ((1024, 1408), (256, 352), (64, 88))


@pytest.mark.parametrize(
    "stored",
    [
        # Aperio cuts off, Hamamatsu and MIRAX halve again and again
        [(46000, 32914), (11500, 8228), (2875, 2057)],
        [(109240, 220696), (54620, 110348), (213, 431)],
        [(2221, 2967), (555, 741), (138, 185), (2, 2), (1, 1)],
        [(1000, 700), (334, 234), (112, 78)],
        [(45056, 35840), (5632, 4480)],
        [(1001, 777), (500, 388), (250, 194), (125, 97), (62, 48), (31, 24)],
        # a factor that is not a whole number
        [(1001, 701), (409, 286)],
    ],
)
def test_levels_within_rounding_stay_as_they_are(stored: list[tuple[int, int]]) -> None:
    levels = usable_levels(stored, [(240, 240)] * len(stored))
    assert levels.numbers == tuple(range(len(stored)))
    assert levels.sizes == tuple(stored)
    assert levels.warnings == ()


def test_whole_tiles_of_a_true_pyramid_are_not_padding() -> None:
    stored = [(4096, 2048), (2048, 1024), (1024, 512)]
    assert usable_levels(stored, [TILE] * 3).sizes == tuple(stored)


@pytest.mark.parametrize("tiles", [[None] * 3, [], [(64, 64)] * 3])
def test_a_level_of_another_shape_without_padding_is_left_out(tiles: list[tuple[int, int] | None]) -> None:
    levels = usable_levels([(4000, 3000), (1000, 900), (500, 375)], tiles)
    assert (levels.numbers, levels.sizes) == ((0, 2), ((4000, 3000), (500, 375)))
    assert levels.warnings[0].startswith("Level 1 has 1000 x 900 px")
    assert levels.warnings[0].endswith("left out.")


def quadrants(width: int, height: int) -> npt.NDArray[np.uint8]:
    """An image whose colour says where a pixel lies."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 200 // width, y * 200 // height, np.full_like(x, 90)], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def padded_slide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, npt.NDArray[np.uint8]]:
    """A TIFF of 1920 x 2816 px with tiles of 256, padded at every level; and level 0."""
    path = tmp_path_factory.mktemp("padded") / "philips.tiff"
    image = quadrants(1920, 2816)
    with tifffile.TiffWriter(path) as file:
        for power in range(6):
            level = cv2.resize(image, (1920 >> power, 2816 >> power), interpolation=cv2.INTER_AREA)
            rows, columns = (-(-side // 256) * 256 - side for side in level.shape[:2])
            padded = np.pad(level, ((0, rows), (0, columns), (0, 0)), constant_values=255)
            file.write(
                padded if power else image,
                tile=(256, 256),
                photometric="rgb",
                compression="deflate",
                subfiletype=int(power > 0),
                metadata=None,
            )
    return path, image


@pytest.mark.parametrize("opener", [open_with_openslide, open_with_tifffile])
def test_a_place_is_the_same_in_every_level_of_a_padded_slide(
    padded_slide: tuple[Path, npt.NDArray[np.uint8]], opener: Callable[[Path], SlideReader | None]
) -> None:
    path, image = padded_slide
    reader = opener(path)
    assert reader is not None
    with Slide(reader) as slide:
        assert any("padded" in sentence for sentence in slide.info.warnings)
        # the last two are one tile each: tifffile takes pages of one size for planes of one image
        count = 6 if opener is open_with_openslide else 4
        assert slide.info.level_sizes == tuple((1920 >> power, 2816 >> power) for power in range(count))
        for level, (down_x, down_y) in enumerate(slide.info.level_downsamples):
            assert (down_x, down_y) == (2**level, 2**level)
            for x, y in ((0, 0), (960, 1408), (1700, 300), (320, 2600)):
                pixel = slide.read_region((x, y), level, (1, 1))[0, 0].astype(int)
                np.testing.assert_allclose(pixel, image[y, x], atol=8)
        thumbnail, frame = slide.thumbnail(88)
        assert thumbnail.shape == (88, 60, 3)
        assert frame.downsample == (32.0, 32.0)
        np.testing.assert_allclose(thumbnail[-1, -1].astype(int), image[-1, -1], atol=12)


def test_the_viewers_pyramid_of_a_padded_slide_has_one_scale(
    padded_slide: tuple[Path, npt.NDArray[np.uint8]],
) -> None:
    reader = open_with_openslide(padded_slide[0])
    assert reader is not None
    with Slide(reader) as slide:
        for level in open_pyramid(slide):
            assert level.shape[1] / level.shape[0] == pytest.approx(1920 / 2816)
            assert int(np.asarray(level[-1, -1, 2])) < 120, "padding would be white"
