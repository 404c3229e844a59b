"""Regions of like stain: what divides them, and what no longer does."""

from __future__ import annotations

import numpy as np
import pytest

from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.image import SegmentationImage
from sam_mil_engine.segment.loading import load_segmenter
from sam_mil_engine.segment.regions import RegionSegmenter
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.segment.stain_statistics import smoothed, stain_amounts, stain_statistics, with_neighbours
from sam_mil_engine.settings import SegmentSettings

PINK, PURPLE = (225, 150, 190), (130, 95, 165)


def halves(*, stripes: bool = False) -> np.ndarray:
    """Pink above, purple below (160, 240, 3); with stripes, both are crossed by thin white ones."""
    image = np.empty((160, 240, 3), dtype=np.uint8)
    image[:80], image[80:] = PINK, PURPLE
    if stripes:
        image[:, ::12] = 240
    return image


def segmented(image: np.ndarray, name: str, *cuts: int) -> Segments:
    tissue = np.ones(image.shape[:2], dtype=bool)
    segmentation_image = SegmentationImage(image, Frame(), tissue)
    return load_segmenter(name, settings=SegmentSettings(superpixels=150, cuts=cuts)).segment(segmentation_image)


@pytest.mark.parametrize("stripes", [False, True])
def test_two_tissues_are_told_apart_across_stripes(stripes: bool) -> None:
    found = segmented(halves(stripes=stripes), "stain-regions", 2)
    assert len(found) == 2
    above = max(range(2), key=lambda k: found.mask(k)[:80].sum())
    wanted = np.zeros((160, 240), dtype=bool)
    wanted[:80] = True
    mask = found.mask(above)
    assert (mask & wanted).sum() / (mask | wanted).sum() > 0.75


def test_it_nests_and_is_another_segmenter() -> None:
    image = np.random.default_rng(0).integers(0, 255, (160, 240, 3), dtype=np.uint8)
    found = segmented(image, "stain-regions", 2, 6)
    masks = [found.mask(number) for number in range(len(found))]
    for one in masks:
        for other in masks:
            common = (one & other).sum()
            assert common in (0, one.sum(), other.sum())
    plain = RegionSegmenter()
    other_kind = load_segmenter("stain-regions")
    assert (other_kind.name, other_kind.version) != (plain.name, plain.version)


def test_stains_do_not_depend_on_their_strength() -> None:
    image = halves()
    # half the optical density: the square root of what passes the slide
    pale = (245 * np.sqrt(image / 245)).round().astype(np.uint8)
    tissue = np.ones(image.shape[:2], dtype=bool)
    np.testing.assert_allclose(stain_amounts(image, tissue), stain_amounts(pale, tissue), atol=0.05)


def test_what_no_stain_explains_counts_too() -> None:
    image = np.full((40, 40, 3), 180, dtype=np.uint8)
    image[:, 20:] = (120, 180, 230)
    amounts = stain_amounts(image, np.ones((40, 40), dtype=bool))
    assert amounts.shape == (40, 40, 3)
    assert abs(amounts[0, 0, 2] - amounts[0, 30, 2]) > 0.3


def test_glass_beside_tissue_changes_nothing_in_it() -> None:
    tissue = np.zeros((60, 60), dtype=bool)
    tissue[10:50, 10:50] = True
    field = np.random.default_rng(0).random((60, 60, 2), dtype=np.float32)
    other = np.where(tissue[..., None], field, np.float32(9))
    np.testing.assert_allclose(
        smoothed(field, tissue, 3.0)[tissue], smoothed(other, tissue, 3.0)[tissue], rtol=1e-5
    )
    # an even field stays even to the very edge
    even = np.where(tissue[..., None], np.float32(2), np.float32(0)) * np.ones((1, 1, 2), np.float32)
    np.testing.assert_allclose(smoothed(even, tissue, 3.0)[tissue], 2, rtol=1e-5)


def test_a_row_of_three_and_one_alone() -> None:
    rows = np.array([[0.0], [4.0], [2.0], [7.0]])
    mixed = with_neighbours(rows, np.array([[0, 1], [1, 2]]), share=0.5)
    # each half its own and half the mean of its neighbours; the last has none
    np.testing.assert_allclose(mixed[:, 0], [2.0, 2.5, 3.0, 7.0])
    alone = with_neighbours(rows, np.empty((0, 2), dtype=np.int64), share=0.5)
    np.testing.assert_allclose(alone, rows)


def test_statistics_have_a_row_for_each_superpixel() -> None:
    labels = np.repeat([0, 1, 2], 20)[None].repeat(30, axis=0)
    labels[:5] = -1
    image = np.full((30, 60, 3), 200, dtype=np.uint8)
    pairs = np.array([[0, 1], [1, 2]])
    found = stain_statistics(image, labels >= 0, labels, pairs, side=20.0)
    assert found.shape == (3, 9)
    np.testing.assert_allclose(found[:, :3], found[:1, :3].repeat(3, axis=0), atol=1e-5)
    np.testing.assert_allclose(found[:, 3:], 0, atol=1e-3)
