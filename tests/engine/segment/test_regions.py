from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.errors import Cancelled
from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.image import SegmentationImage
from sam_mil_engine.segment.regions import (
    OUTSIDE,
    RegionSegmenter,
    adjacency,
    lab_of,
    merge_tree,
    tissue_superpixels,
)
from sam_mil_engine.settings import SegmentSettings

SMALL = SegmentSettings(superpixels=40)


def segmentation_image(image, tissue=None):
    tissue = np.ones(image.shape[:2], dtype=bool) if tissue is None else tissue
    return SegmentationImage(rgb=image, frame=Frame(), tissue=tissue)


@st.composite
def images_with_tissue(draw):
    height, width = draw(st.integers(1, 48)), draw(st.integers(1, 48))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    block = draw(st.sampled_from([1, 4, 16]))
    coarse = rng.integers(0, 256, size=(-(-height // block), -(-width // block), 3), dtype=np.uint8)
    image = coarse.repeat(block, axis=0).repeat(block, axis=1)[:height, :width]
    tissue = np.zeros((height, width), dtype=bool)
    for _ in range(draw(st.integers(1, 4))):
        y, x = rng.integers(0, height), rng.integers(0, width)
        tissue[y : y + rng.integers(1, 30), x : x + rng.integers(1, 30)] = True
    return segmentation_image(np.ascontiguousarray(image), tissue)


@settings(max_examples=60)
@given(images_with_tissue(), st.sampled_from([(4, 8, 16, 32), (1,), (2, 3), (500,)]))
def test_segments_nest_and_every_cut_covers_the_tissue_superpixels(one, cuts):
    labels = tissue_superpixels(lab_of(one.rgb), one.tissue, SMALL.superpixels)
    segments = RegionSegmenter(SMALL.model_copy(update={"cuts": cuts})).segment(one)
    masks = [segments.mask(number) for number in range(len(segments))]

    assert masks
    assert all(mask.any() and not (mask & ~one.tissue).any() for mask in masks)
    assert len({mask.tobytes() for mask in masks}) == len(masks)
    for a, b in combinations(masks, 2):
        common = (a & b).sum()
        assert common in (0, a.sum(), b.sum())
    for cut in cuts:
        only = RegionSegmenter(SMALL.model_copy(update={"cuts": (cut,)})).segment(one)
        total = np.sum([only.mask(number) for number in range(len(only))], axis=0)
        np.testing.assert_array_equal(total, (labels != OUTSIDE).astype(int))
        # One cut of the many is found among the many.
        assert {only.mask(n).tobytes() for n in range(len(only))} <= {mask.tobytes() for mask in masks}


@settings(max_examples=40)
@given(images_with_tissue(), st.integers(1, 60))
def test_a_cut_has_the_number_of_connected_regions_that_was_asked_for(one, count):
    from scipy.ndimage import label

    labels = tissue_superpixels(lab_of(one.rgb), one.tissue, SMALL.superpixels)
    only = RegionSegmenter(SMALL.model_copy(update={"cuts": (count,)})).segment(one)
    pieces, superpixels = label(labels != OUTSIDE)[1], labels.max() + 1
    assert len(only) == min(max(count, pieces), superpixels)
    assert all(label(only.mask(number))[1] == 1 for number in range(len(only)))


def test_four_quarters_are_found():
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[:32, :32], image[:32, 32:], image[32:, :32], image[32:, 32:] = (200, 0, 0), (0, 200, 0), (0, 0, 200), 255
    found = RegionSegmenter(SegmentSettings(superpixels=64, cuts=(4,))).segment(segmentation_image(image))
    assert sorted(found.area) == [1024] * 4
    assert {(x, y) for x, y, _, _ in found.boxes_raster.tolist()} == {(0, 0), (32, 0), (0, 32), (32, 32)}


def test_the_budget_goes_to_the_piece_with_the_contrast():
    image = np.full((40, 120, 3), 200, dtype=np.uint8)
    image[:, 80:100], image[:, 100:] = (200, 0, 0), (0, 0, 200)
    tissue = np.ones((40, 120), dtype=bool)
    tissue[:, 38:82] = False
    found = RegionSegmenter(SegmentSettings(superpixels=60, cuts=(3,))).segment(segmentation_image(image, tissue))
    assert sorted(x // 80 for x, _, _, _ in found.boxes_raster.tolist()) == [0, 1, 1]


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (8, 8), (1, 50), (50, 1)])
def test_small_images_of_one_colour(shape):
    found = RegionSegmenter().segment(segmentation_image(np.full((*shape, 3), 180, dtype=np.uint8)))
    assert len(found) >= 1
    assert found.label_image().all()


def test_tissue_thinner_than_a_superpixel_is_still_segmented():
    tissue = np.zeros((60, 60), dtype=bool)
    tissue[30, 30] = True
    found = RegionSegmenter(SMALL).segment(segmentation_image(np.full((60, 60, 3), 180, dtype=np.uint8), tissue))
    assert len(found) == 1
    assert found.mask(0)[30, 30]


def test_without_tissue_there_is_no_segment():
    empty = segmentation_image(np.zeros((8, 8, 3), dtype=np.uint8), np.zeros((8, 8), dtype=bool))
    assert len(RegionSegmenter().segment(empty)) == 0


def test_the_result_is_the_same_every_time(tissue_image):
    first, second = (RegionSegmenter().segment(tissue_image) for _ in range(2))
    np.testing.assert_array_equal(first.boxes_raster, second.boxes_raster)
    assert all(np.array_equal(a, b) for a, b in zip(first.crops, second.crops, strict=True))
    assert (first.predicted_iou == 1).all()
    assert (first.stability == 1).all()


def test_cancelling(tissue_image):
    def stop(report):
        assert report.stage == "segments"
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        RegionSegmenter().segment(tissue_image, progress=stop)


def test_neighbours_and_merges_of_a_row():
    labels = np.array([[0, 0, 1, OUTSIDE, 2, 3]])
    pairs = adjacency(labels)
    assert pairs.tolist() == [[0, 1], [2, 3]]
    # The near pair merges before the far one, and no merge crosses the gap.
    tree = merge_tree(np.array([[0.0], [9.0], [4.0], [5.0]]), pairs)
    assert tree.n_roots == 2
    assert [sorted(merge) for merge in tree.children.tolist()] == [[2, 3], [0, 1]]
    assert len(set(tree.cut(3).tolist())) == 3
    assert tree.cut(3)[2] == tree.cut(3)[3]
    assert len(set(tree.cut(1).tolist())) == 2
