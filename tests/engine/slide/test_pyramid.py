"""The viewer's pyramid: sizes, pixels, numpy's indexing, the cache, damaged tiles, napari."""

from __future__ import annotations

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sam_mil_engine.errors import Cancelled, SlideError
from sam_mil_engine.slide.pyramid import BAD_TILE, COARSEST_SIDE, LevelArray, open_pyramid
from sam_mil_engine.slide.reader import Slide, open_slide
from sam_mil_engine.slide.tile_cache import TileCache


def noise(height: int, width: int) -> npt.NDArray[np.uint8]:
    small = np.random.default_rng(0).integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (width, height)), dtype=np.uint8)


def halved(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    size = (pixels.shape[1] // 2, pixels.shape[0] // 2)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def test_levels_of_the_file_are_read_as_they_are_and_gaps_are_filled(shared_data: Path) -> None:
    with open_slide(shared_data / "slides" / "generic-tiff" / "P2_0039_section1_upper.tif") as slide:
        levels = open_pyramid(slide)
        assert [level.shape[1] for level in levels] == [15104, 7552, 3776, 1888, 944]
        for number, level in ((0, 0), (2, 1), (4, 2)):
            pixels = levels[number][300:700, 100:650]
            np.testing.assert_array_equal(pixels, slide.read_level(level, (100, 300), (550, 400)))
        part, means = levels[1][2000:2300, 3000:3200], halved(slide.read_region((6000, 4000), 0, (400, 600)))
        away = np.abs(part.astype(int) - means)
        assert away.mean() < 1.5, "decoded at half the size: close to the means"
        assert away.max() <= 25
        again = open_pyramid(slide)
        again[0].read(5000, 3000, 8000, 6000)
        np.testing.assert_array_equal(again[1][2000:2300, 3000:3200], means, "from what is there: the means")
        # the last row and column of the level are odd, or its last tile is cut
        height, width = levels[3].shape[:2]
        corner = levels[3][height - 5 :, width - 5 :]
        finer = levels[2].read(2 * (width - 5), 2 * (height - 5), levels[2].shape[1], levels[2].shape[0])
        odd = [(0, side % 2) for side in finer.shape[:2]]
        assert np.abs(corner.astype(int) - halved(np.pad(finer, (*odd, (0, 0)), mode="edge"))).mean() < 2


@pytest.mark.parametrize("size", [(2220, 2967), (1025, 1), (1, 1), (700, 300), (4097, 2050)])
def test_one_level_is_halved_until_it_fits(size: tuple[int, int], array_reader: Any) -> None:
    width, height = size
    image = noise(height, width)
    levels = open_pyramid(Slide(array_reader(image)))
    assert max(levels[-1].shape[:2]) <= COARSEST_SIDE
    assert all(max(level.shape[:2]) > COARSEST_SIDE for level in levels[:-1])
    for finer, coarser in pairwise(levels):
        assert coarser.shape[:2] == tuple(-(-side // 2) for side in finer.shape[:2])
        odd = [(0, side % 2) for side in finer.shape[:2]]
        padded = np.pad(np.asarray(finer), (*odd, (0, 0)), mode="edge").astype(float)
        means = (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]) / 4
        assert np.abs(np.asarray(coarser) - means).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("name", ["hamamatsu/test3-DAPI-2-387.ndpi", "aperio/CMU-1-Small-Region.svs"])
def test_real_slides_get_coarse_enough_and_strictly_smaller_levels(shared_data: Path, name: str) -> None:
    with open_slide(shared_data / "slides" / name) as slide:
        levels = open_pyramid(slide)
        assert levels[0].shape[:2] == slide.info.size_px0[::-1]
        assert max(levels[-1].shape[:2]) <= COARSEST_SIDE
        assert all(a.shape[0] > b.shape[0] for a, b in pairwise(levels))
        assert np.asarray(levels[-1]).shape == levels[-1].shape


def index(length: int) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.slices(length),
        st.integers(-length, length - 1),
        st.integers(0, length - 1).map(np.int64),
    )


@hypothesis_settings(max_examples=60)
@given(
    key=st.one_of(
        st.tuples(index(700), index(1100), index(3)),
        st.tuples(index(700), index(1100)),
        st.tuples(index(700)),
        st.tuples(st.just(...), index(3)),
        st.tuples(index(700), st.just(...)),
        st.sampled_from([..., (...,), slice(None), 5]),
    )
)
def test_indexing_is_numpys(array_reader: Any, key: Any) -> None:
    image = noise(700, 1100)
    level = open_pyramid(Slide(array_reader(image)))[0]
    np.testing.assert_array_equal(level[key], image[key])


def test_lists_of_numbers_and_wrong_indices(array_reader: Any) -> None:
    image = noise(600, 600)
    level = open_pyramid(Slide(array_reader(image)))[0]
    np.testing.assert_array_equal(level[[5, 590, 7]], image[[5, 590, 7]])
    np.testing.assert_array_equal(level[:, np.array([-1, 0])], image[:, [-1, 0]])
    mask = np.arange(600) % 7 == 0
    np.testing.assert_array_equal(level[mask, 3], image[mask, 3])
    for wrong in (600, -601, (0, 600), (0, 0, 3), (0, 0, 0, 0)):
        with pytest.raises(IndexError):
            level[wrong]


def test_it_is_an_array_as_far_as_viewers_ask(array_reader: Any) -> None:
    level = open_pyramid(Slide(array_reader(noise(600, 1030))))[0]
    assert (level.shape, level.dtype, level.ndim, level.size) == ((600, 1030, 3), np.uint8, 3, 600 * 1030 * 3)
    assert level.chunks == ((512, 88), (512, 512, 6), (3,))
    assert len(level) == 600
    assert np.asarray(level, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="needs a copy"):
        np.array(level, copy=False)


def test_tiles_are_read_once_and_shared_between_threads(array_reader: Any) -> None:
    reads: list[tuple[int, int]] = []

    class Counting(array_reader):
        def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
            reads.append(location)
            return super().read(level, location, size)

    image = noise(2000, 2000)
    levels = open_pyramid(Slide(Counting(image)))
    first = np.asarray(levels[-1])
    assert len(reads) == 16
    levels[0][100:1900, 300:700]
    assert len(reads) == 16
    with ThreadPoolExecutor(8) as pool:
        others = list(pool.map(lambda _: np.asarray(levels[-1]), range(8)))
    assert all(np.array_equal(first, other) for other in others)
    pixels = levels[0][0:10, 0:10]
    pixels[:] = 0
    np.testing.assert_array_equal(levels[0][0:10, 0:10], image[:10, :10])


def test_without_room_in_the_cache_it_still_reads(array_reader: Any) -> None:
    image = noise(1500, 1500)
    levels = open_pyramid(Slide(array_reader(image)), cache_bytes=0)
    np.testing.assert_array_equal(np.asarray(levels[0]), image)
    assert np.asarray(levels[1]).shape == (750, 750, 3)


def test_the_cache_keeps_to_its_budget_and_drops_the_oldest() -> None:
    cache = TileCache(3 * 300)
    for name in "abc":
        cache.put(name, np.zeros((10, 10, 3), dtype=np.uint8))
    assert cache.get("a") is not None
    cache.put("d", np.zeros((10, 10, 3), dtype=np.uint8))
    assert [name for name in "abcd" if cache.get(name) is not None] == ["a", "c", "d"]
    cache.put("large", np.zeros((100, 10, 3), dtype=np.uint8))
    cache.put("a", np.zeros((5, 10, 3), dtype=np.uint8))
    # "a" takes half of what it took, which leaves room for nothing more
    assert sorted(cache.get_many("abcd")) == ["a", "c", "d"]
    cache.put("b", np.zeros((10, 10, 3), dtype=np.uint8))
    assert len(cache.get_many("abcd")) == 3


def test_a_tile_that_cannot_be_read_raises_or_is_marked_and_reported(array_reader: Any) -> None:
    class Damaged(array_reader):
        def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
            if location == (512, 0):
                raise OSError("bad marker")
            return super().read(level, location, size)

    image = noise(800, 1100)
    slide = Slide(Damaged(image))
    with pytest.raises(SlideError, match=r"x=512, y=0 of level 0.*bad marker"):
        np.asarray(open_pyramid(slide)[0])
    reported: list[SlideError] = []
    levels = open_pyramid(slide, on_bad_tile=reported.append)
    pixels = np.asarray(levels[0])
    assert (pixels[:512, 512:1024] == BAD_TILE).all()
    np.testing.assert_array_equal(pixels[512:], image[512:])
    assert len(reported) == 1
    assert "x=512, y=0" in str(reported[0])
    slide.close()
    with pytest.raises(SlideError, match="is closed"):
        open_pyramid(slide, on_bad_tile=reported.append)[0][0, 0]


def test_napari_takes_the_levels_as_multiscale_rgb(cmu_slide: Path) -> None:
    layers = pytest.importorskip("napari.layers", reason="napari is not installed")
    with open_slide(cmu_slide) as slide:
        levels = open_pyramid(slide)
        layer = layers.Image(levels, multiscale=True, rgb=True, scale=(0.499, 0.499))
        assert layer.multiscale
        assert layer.rgb
        assert isinstance(layer.data[0], LevelArray)
        np.testing.assert_allclose(layer.downsample_factors[1], (2967 / 1484, 2.0))
        np.testing.assert_allclose(layer.extent.world[1], (2966.5 * 0.499, 2219.5 * 0.499), atol=0.5)
        layer.data_level = 0
        np.testing.assert_array_equal(np.asarray(layer.data[-1]), np.asarray(levels[-1]))


def test_two_thousand_views_take_no_more_memory_than_two_hundred(array_reader: Any) -> None:
    budget = 8 * 2**20
    level = open_pyramid(Slide(array_reader(noise(4096, 4096))), cache_bytes=budget)[0]
    places = np.random.default_rng(0).integers(0, 3800, (2000, 2))
    held: list[int] = []
    tracemalloc.start()
    try:
        for top, left in places:
            level[top : top + 256, left : left + 256]
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    # at most the cache, and now and then what is in work
    assert np.median(held[200:400]) < budget + 2**20
    assert np.median(held[-200:]) < budget + 2**20


def test_a_level_is_fetched_with_all_that_it_is_made_from(array_reader: Any) -> None:
    told: list[int] = []
    with Slide(array_reader(noise(1500, 2300))) as slide:
        coarsest = open_pyramid(slide)[-1]
        # 5 x 3 tiles of 512 px, 3 x 2 of half the size, 2 x 1 of a quarter
        assert coarsest.tiles_to_make == 15 + 6 + 2
        coarsest.fetch(told.append)
    assert all(0 <= count <= 23 for count in told)
    assert np.asarray(coarsest).shape == (375, 575, 3), "from the cache: the slide is closed"


def test_what_a_report_raises_leaves_the_fetching_and_closing_the_slide_ends_it(array_reader: Any) -> None:
    gate, reader = threading.Event(), array_reader(noise(2100, 2100))
    real = reader.read

    def slow(*args: Any) -> npt.NDArray[np.uint8]:
        gate.wait(10)
        return np.asarray(real(*args))

    def stop(_made: int) -> None:
        gate.set()
        raise Cancelled("enough")

    reader.read = slow
    slide = Slide(reader)
    coarsest = open_pyramid(slide)[-1]
    with pytest.raises(Cancelled):
        coarsest.fetch(stop)
    slide.close()
    with pytest.raises(SlideError, match="closed"):
        open_pyramid(slide)[-1].fetch(lambda _made: None)
