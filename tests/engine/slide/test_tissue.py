"""Tissue: presets, areas, holes, fallbacks and blank slides, on made-up images and real slides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from sam_mil_engine.errors import Cancelled
from sam_mil_engine.geometry import Frame
from sam_mil_engine.progress import Progress
from sam_mil_engine.settings import TISSUE_PRESETS, TissueSettings
from sam_mil_engine.slide.info import SlideInfo
from sam_mil_engine.slide.reader import Slide, open_slide
from sam_mil_engine.slide.tissue import find_tissue, find_tissue_in_image
from sam_mil_engine.slide.tissue_regions import TissueRegions

PINK = (220, 120, 180)
#: One raster pixel is 64 x 64 level-0 pixels, so that 64 raster pixels are one of CLAM's reference patches.
FRAME = Frame(origin_px0=(1000.0, 2000.0), downsample=(64.0, 64.0))


def glass(height: int = 300, width: int = 400) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), 244, dtype=np.uint8)


def polygons(regions: TissueRegions) -> list[shapely.Polygon]:
    return [shapely.Polygon(outer, holes) for outer, holes in regions.polygons_px0]


def mask_of(regions: TissueRegions, shape: tuple[int, int], downsample: float) -> npt.NDArray[np.bool_]:
    mask = np.zeros(shape, dtype=np.uint8)
    for outer, holes in regions.polygons_px0:
        cv2.fillPoly(mask, [np.round(outer / downsample - 0.5).astype(np.int32)], 1)
        for hole in holes:
            cv2.fillPoly(mask, [np.round(hole / downsample - 0.5).astype(np.int32)], 0)
    return mask > 0


def test_a_disc_is_found_where_it_is() -> None:
    image = glass()
    cv2.circle(image, (200, 150), 100, PINK, -1)
    regions = find_tissue_in_image(image, FRAME, TissueSettings())
    assert (len(regions), regions.method) == (1, "default")
    (disc,) = polygons(regions)
    expected = FRAME.to_px0((200.5, 150.5))
    np.testing.assert_allclose((disc.centroid.x, disc.centroid.y), expected, atol=20)
    assert disc.area == pytest.approx(np.pi * (100 * 64) ** 2, rel=0.05)
    assert regions.area_px0[0] == pytest.approx(disc.area)


def test_pieces_and_holes_are_kept_by_area() -> None:
    image = glass()
    image[20:220, 20:220] = PINK  # 625 reference patches
    image[60:120, 60:120] = 244  # a hole of 56
    image[150:160, 150:160] = 244  # a hole of 1.6
    image[100:160, 300:360] = PINK  # a piece of 56
    both = find_tissue_in_image(image, FRAME, TISSUE_PRESETS["tcga"])
    assert [len(holes) for _, holes in both.polygons_px0] == [1, 0]
    large = find_tissue_in_image(image, FRAME, TissueSettings(min_hole_area=1))
    assert [len(holes) for _, holes in large.polygons_px0] == [2]
    one_hole = find_tissue_in_image(image, FRAME, TissueSettings(min_hole_area=1, max_holes=1))
    (hole,) = one_hole.polygons_px0[0][1]
    assert shapely.Polygon(hole).area == pytest.approx(60 * 60 * 64**2, rel=0.1)
    none = find_tissue_in_image(image, FRAME, TissueSettings(max_holes=0))
    assert [len(holes) for _, holes in none.polygons_px0] == [0]


def test_the_area_of_a_piece_counts_without_all_its_holes() -> None:
    image = glass()
    image[20:110, 20:110] = PINK  # 127 reference patches, of which the hole takes 56
    image[35:95, 35:95] = 244
    assert len(find_tissue_in_image(image, FRAME, TissueSettings(fallback=False))) == 0
    assert len(find_tissue_in_image(image, FRAME, TissueSettings(min_tissue_area=60, fallback=False))) == 1


def paint(colour: tuple[int, int, int], side: int) -> npt.NDArray[np.uint8]:
    image = glass()
    image[50 : 50 + side, 50 : 50 + side] = colour
    return image


@pytest.mark.parametrize(
    ("image", "method"),
    [
        (paint(PINK, 150), "default"),
        (paint((244, 238, 242), 150), "otsu"),  # saturation 6: under the fixed threshold of 8
        (paint(PINK, 35), "small-areas"),
        (paint((244, 237, 242), 35), "otsu, small-areas"),
    ],
)
def test_the_attempt_that_found_tissue_is_recorded(image: npt.NDArray[np.uint8], method: str) -> None:
    regions = find_tissue_in_image(image, FRAME, TissueSettings())
    assert (len(regions), regions.method) == (1, method)
    strict = find_tissue_in_image(image, FRAME, TissueSettings(fallback=False))
    assert len(strict) == (1 if method == "default" else 0)


@pytest.mark.parametrize("background", [lambda rng: 244, lambda rng: rng.normal(242, 1.2, (300, 400, 3)).round()])
@pytest.mark.parametrize("preset", TISSUE_PRESETS)
def test_a_blank_slide_has_no_tissue(background: Callable[[np.random.Generator], Any], preset: str) -> None:
    image = glass()
    image[...] = background(np.random.default_rng(0))
    regions = find_tissue_in_image(image, FRAME, TISSUE_PRESETS[preset])
    assert len(regions) == 0
    assert regions.method == "none"
    assert regions.bounds_px0 is None


@hypothesis_settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**16),
    share=st.floats(0, 1),
    preset=st.sampled_from(sorted(TISSUE_PRESETS)),
)
def test_any_image_gives_valid_regions_inside_it(
    shape: tuple[int, int], seed: int, share: float, preset: str
) -> None:
    image = glass(*shape)
    image[np.random.default_rng(seed).random(shape) < share] = PINK
    settings = TISSUE_PRESETS[preset].model_copy(
        update={"median_blur": 1, "min_tissue_area": 0, "min_hole_area": 0}
    )
    regions = find_tissue_in_image(image, FRAME, settings)
    (left, top), (right, bottom) = FRAME.to_px0([(0, 0), (shape[1], shape[0])])
    found = polygons(regions)
    assert all(polygon.is_valid for polygon in found)
    assert all(polygon.within(shapely.box(left, top, right, bottom)) for polygon in found)
    np.testing.assert_allclose(regions.area_px0, [polygon.area for polygon in found])


def test_only_the_bounds_of_the_slide_are_looked_at(array_reader: Any) -> None:
    image = glass(2000, 2000)
    image[100:900, 100:900] = PINK
    image[1200:1900, 1200:1900] = PINK
    reader = array_reader(image)
    facts = {name: getattr(reader.info, name) for name in SlideInfo.__slots__}
    reader.info = SlideInfo(**{**facts, "bounds_px0": (1000, 1000, 1000, 1000)})
    regions = find_tissue(Slide(reader), TISSUE_PRESETS["biopsy"])
    assert len(regions) == 1
    np.testing.assert_allclose(regions.bounds_px0, (1200, 1200, 1900, 1900), atol=12)


def test_progress_is_reported_and_can_cancel(array_reader: Any) -> None:
    seen: list[Progress] = []
    find_tissue(Slide(array_reader(glass())), TissueSettings(), progress=seen.append)
    assert [(report.done, report.total) for report in seen] == [(0, 2), (1, 2), (2, 2)]

    def cancel(report: Progress) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        find_tissue(Slide(array_reader(glass())), TissueSettings(), progress=cancel)


@pytest.mark.parametrize("preset", TISSUE_PRESETS)
def test_the_small_region_has_tissue_with_every_preset(cmu_slide: Path, preset: str) -> None:
    with open_slide(cmu_slide) as slide:
        regions = find_tissue(slide, TISSUE_PRESETS[preset])
    assert regions.method == ("default" if preset == "biopsy" else "small-areas")
    assert 0.3 < regions.area_px0.sum() / (2220 * 2967) < 0.45


@pytest.mark.parametrize(("preset", "bound"), [("biopsy", 0.92), ("tcga", 0.88), ("default", 0.68)])
def test_tissue_agrees_with_the_published_mask(shared_data: Path, preset: str, bound: float) -> None:
    folder = shared_data / "slides" / "generic-tiff"
    truth = np.asarray(Image.open(folder / "P2_0039_section1_upper_tissue_mask_x8.png")) > 0
    with open_slide(folder / "P2_0039_section1_upper.tif") as slide:
        regions = find_tissue(slide, TISSUE_PRESETS[preset])
    found = mask_of(regions, truth.shape, 8)
    assert (found & truth).sum() / (found | truth).sum() > bound
    # CLAM's default asks for 100 squares of 512 x 512 pixels: three pieces are smaller
    left_out = {"biopsy": 0, "tcga": 1, "default": 3}[preset]
    assert len(regions.left_out_px0) == left_out
    assert regions.left_out_share == pytest.approx({0: 0, 1: 0.029, 3: 0.24}[left_out], abs=0.005)
