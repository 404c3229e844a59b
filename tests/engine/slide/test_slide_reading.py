"""Regions and images: threads, borders, frames, damaged tiles, closing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import openslide
import pytest
import tifffile
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sam_mil_engine.errors import SlideError
from sam_mil_engine.slide import reduced_image
from sam_mil_engine.slide.facts import on_white, plausible_mpp
from sam_mil_engine.slide.openslide_reader import open_with_openslide
from sam_mil_engine.slide.reader import Slide, open_slide
from sam_mil_engine.slide.reduced_image import area_weights, coarsest_level_for
from sam_mil_engine.slide.tifffile_reader import open_with_tifffile

DICOM_SET = "slides/dicom/CMU-1-Small-Region_set"


def noise(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "name", ["slides/aperio/CMU-1-Small-Region.svs", f"{DICOM_SET}/volume.dcm", "unusual/grey10kx5k.tif"]
)
def test_eight_threads_read_what_one_thread_reads(shared_data: Path, name: str) -> None:
    rng = np.random.default_rng(1)
    with open_slide(shared_data / name) as slide:
        width, height = slide.info.size_px0
        places = [
            (int(x), int(y)) for x, y in zip(rng.integers(0, width, 24), rng.integers(0, height, 24), strict=True)
        ]
        alone = [slide.read_region(place, 0, (200, 150)) for place in places]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda place: slide.read_region(place, 0, (200, 150)), places * 2))
    for one, other in zip(alone * 2, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_regions_are_openslides_own(cmu_slide: Path) -> None:
    with open_slide(cmu_slide) as slide, openslide.OpenSlide(cmu_slide) as reference:
        ours = slide.read_region((700, 900), 0, (300, 200))
        theirs = np.asarray(reference.read_region((700, 900), 0, (300, 200)).convert("RGB"))
    np.testing.assert_array_equal(ours, theirs)


def test_svs_dicom_and_tiff_of_one_slide_show_the_same(shared_data: Path, cmu_slide: Path) -> None:
    with open_slide(cmu_slide) as svs, open_slide(shared_data / DICOM_SET / "volume.dcm") as dicom:
        first, second = (slide.read_region((480, 960), 0, (960, 960)).astype(int) for slide in (svs, dicom))
    difference = np.abs(first - second)
    assert difference.mean() < 2
    assert np.percentile(difference, 99) <= 12


def test_openslide_and_tifffile_agree_on_a_pyramid(shared_data: Path) -> None:
    path = shared_data / "slides" / "generic-tiff" / "CMU-small-pyramid.tiff"
    first, second = open_with_openslide(path), open_with_tifffile(path)
    assert first is not None
    assert second is not None
    with Slide(first) as one, Slide(second) as other:
        assert one.info.level_sizes == other.info.level_sizes
        assert one.info.mpp == pytest.approx(other.info.mpp, rel=1e-6)
        for level in range(3):
            pixels = [slide.read_level(level, (10, 20), (100, 90)).astype(int) for slide in (one, other)]
            assert np.abs(pixels[0] - pixels[1]).mean() < 1.5


def test_what_lies_outside_the_slide_is_white(cmu_slide: Path) -> None:
    with open_slide(cmu_slide) as slide:
        inside = slide.read_region((0, 0), 0, (30, 40))
        around = slide.read_region((-10, -20), 0, (40, 60))
        np.testing.assert_array_equal(around[20:, 10:], inside)
        assert (around[:20] == 255).all()
        assert (around[:, :10] == 255).all()
        assert (slide.read_region((5000, 5000), 0, (4, 3)) == 255).all()
        assert slide.read_region((0, 0), 0, (0, 5)).shape == (5, 0, 3)
        with pytest.raises(SlideError, match="there is no level 1"):
            slide.read_region((0, 0), 1, (4, 4))


def test_locations_on_coarse_levels_are_level0_pixels(shared_data: Path) -> None:
    with open_slide(shared_data / "slides" / "generic-tiff" / "P2_0039_section1_upper.tif") as slide:
        by_region = slide.read_region((9000, 2000), 1, (64, 64))
        np.testing.assert_array_equal(by_region, slide.read_level(1, (2250, 500), (64, 64)))
        fine = cv2.resize(slide.read_region((9000, 2000), 0, (256, 256)), (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(by_region.astype(int) - fine).mean() < 8


def test_transparent_pixels_become_white() -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 255, 128]]], dtype=np.uint8)
    np.testing.assert_array_equal(on_white(rgba), [[[10, 20, 30], [255, 255, 255], [127, 177, 255]]])


def test_a_closed_slide_says_so_and_waits_for_reads_that_run(cmu_slide: Path, array_reader: Any) -> None:
    slide = open_slide(cmu_slide)
    slide.close()
    slide.close()
    with pytest.raises(SlideError, match="the slide is closed"):
        slide.read_region((0, 0), 0, (4, 4))

    started, go_on = threading.Event(), threading.Event()

    class Slow(array_reader):
        def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
            started.set()
            assert go_on.wait(10)
            assert not self.closed, "the file was closed under a running read"
            return super().read(level, location, size)

    reader = Slow(noise(8, 8))
    with ThreadPoolExecutor(2) as pool:
        slow = Slide(reader)
        reading = pool.submit(slow.read_region, (0, 0), 0, (8, 8))
        assert started.wait(10)
        closing = pool.submit(slow.close)
        go_on.set()
        assert reading.result(10).shape == (8, 8, 3)
        closing.result(10)
    assert reader.closed


@hypothesis_settings(max_examples=60)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    max_side=st.integers(1, 200),
    bounds=st.tuples(*[st.floats(0, 0.9)] * 2, *[st.floats(0.05, 1)] * 2),
)
def test_an_image_lies_in_its_frame_and_keeps_to_its_size(
    array_reader: Any, width: int, height: int, max_side: int, bounds: tuple[float, float, float, float]
) -> None:
    levels = [noise(height, width)]
    if min(width, height) > 8:
        levels.append(noise(height // 4, width // 4))
    slide = Slide(array_reader(*levels))
    left, top = bounds[0] * width, bounds[1] * height
    right, bottom = min(width, left + bounds[2] * width), min(height, top + bounds[3] * height)
    reduced, frame = slide.read_image(bounds_px0=(left, top, right, bottom), max_side=max_side)
    assert max(reduced.shape[:2]) <= max_side
    (x0, y0), (x1, y1) = frame.to_px0([(0, 0), (reduced.shape[1], reduced.shape[0])])
    level_pixel = 4 * width / (width // 4 * 4) if len(levels) > 1 else 1
    slack = 1.5 * level_pixel + 4
    assert x0 <= left + 1e-3 <= x0 + slack
    assert y0 <= top + 1e-3 <= y0 + slack
    assert x1 >= right - 1e-3 >= x1 - slack
    assert y1 >= bottom - 1e-3 >= y1 - slack


def test_an_image_is_the_area_mean_whatever_its_stripes(monkeypatch: pytest.MonkeyPatch, array_reader: Any) -> None:
    image = noise(731, 517)
    slide = Slide(array_reader(image))
    whole, frame = slide.read_image(max_side=100)
    monkeypatch.setattr(reduced_image, "STRIPE_PIXELS", 517 * 20)
    striped, _ = slide.read_image(max_side=100)
    np.testing.assert_array_equal(striped, whole)
    reference = cv2.resize(image, (71, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(whole.astype(int) - reference).max() <= 1
    assert frame.downsample == (517 / 71, 731 / 100)


def test_an_image_finds_a_mark_where_its_frame_says(array_reader: Any) -> None:
    image = np.full((600, 900, 3), 255, dtype=np.uint8)
    image[300:330, 450:480] = 0
    reduced, frame = Slide(array_reader(image)).read_image(bounds_px0=(100, 200, 800, 555), downsample=7.3)
    rows, columns = np.nonzero(reduced[..., 0] < 200)
    weights = 255.0 - reduced[rows, columns, 0]
    centre = frame.to_px0((np.average(columns, weights=weights) + 0.5, np.average(rows, weights=weights) + 0.5))
    np.testing.assert_allclose(centre, (465, 315), atol=0.8)


def test_images_are_never_enlarged_and_empty_bounds_are_refused(array_reader: Any) -> None:
    slide = Slide(array_reader(noise(20, 30)))
    reduced, frame = slide.thumbnail(1000)
    np.testing.assert_array_equal(reduced, noise(20, 30))
    assert frame.downsample == (1.0, 1.0)
    with pytest.raises(SlideError, match="lie outside"):
        slide.read_image(bounds_px0=(40, 0, 50, 10))


def test_the_level_for_a_downsample_is_the_coarsest_that_is_fine_enough() -> None:
    levels = ((1.0, 1.0), (4.0, 4.0), (16.001, 16.003))
    assert [coarsest_level_for(levels, (d, d)) for d in (0.5, 1, 3.9, 4, 15, 16, 64)] == [0, 0, 0, 1, 1, 2, 2]
    assert coarsest_level_for(levels, (16, 3)) == 0


@hypothesis_settings(max_examples=60)
@given(height=st.integers(1, 400), target=st.integers(1, 50))
def test_area_weights_sum_to_one(height: int, target: int) -> None:
    target = min(target, height)
    weights = area_weights(0, target, height / target, 0, height)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=0), target / height, rtol=1e-3)


def _damaged_pyramid(folder: Path) -> Path:
    """Write a JPEG pyramid and overwrite the tile at column 2, row 1 of its first level."""
    path = folder / "damaged.tif"
    image = cv2.resize(noise(16, 16), (1024, 1024), interpolation=cv2.INTER_LINEAR)
    tiles = {"tile": (256, 256), "compression": "jpeg", "photometric": "rgb"}
    with tifffile.TiffWriter(path) as file:
        file.write(image, subfiletype=0, **tiles)
        file.write(image[::4, ::4], subfiletype=1, **tiles)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        offset, count = page.dataoffsets[6], page.databytecounts[6]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = bytes(count)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("opener", [open_with_openslide, open_with_tifffile])
def test_a_damaged_tile_is_named_and_the_others_still_read(tmp_path: Path, opener: Any) -> None:
    reader = opener(_damaged_pyramid(tmp_path))
    with Slide(reader) as slide:
        good = slide.read_region((0, 0), 0, (256, 256))
        for _ in range(2):
            with pytest.raises(SlideError, match=r"x=512, y=256 of level 0 \(level-0 x=512, y=256\)"):
                slide.read_region((512, 256), 0, (256, 256))
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, (256, 256)), good)
        assert slide.read_region((768, 256), 0, (256, 256)).shape == (256, 256, 3)


def test_impossible_resolutions_are_not_believed() -> None:
    assert plausible_mpp(0.25, 0.26) == ((0.25, 0.26), ())
    assert plausible_mpp(None, None) == (None, ())
    assert plausible_mpp(None, 250.0)[0] is None
    for x in (0.00499, 0.0, -1.0, 352.8, float("nan"), float("inf")):
        mpp, warnings = plausible_mpp(x, 0.25)
        assert mpp is None
        assert len(warnings) == 1
