"""Segments and patches against annotations, checked by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon

from sam_mil_engine.annotations import Annotation, compare_groups, patch_agreement, patch_inside
from sam_mil_engine.annotations.raster import area_outside, rasterise
from sam_mil_engine.errors import DataError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.mil.scores import GroupScores, SlideScores
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.segments import Segments

FRAME = Frame((100.0, 50.0), (8.0, 7.5))
SIZE = (40, 30)


def wobbly(rng: np.random.Generator, centre: tuple[float, float], radius: float, points: int = 40) -> Polygon:
    angle = np.sort(rng.uniform(0, 2 * np.pi, points))
    reach = radius * rng.uniform(0.5, 1.2, points)
    return Polygon(np.stack([np.cos(angle), np.sin(angle)], 1) * reach[:, None] + centre).buffer(0)


def centres(frame: Frame, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    points = frame.to_px0(np.stack([x, y], axis=-1))
    return points[..., 0], points[..., 1]


def make_segments(rng: np.random.Generator, count: int) -> Segments:
    masks = []
    for _ in range(count):
        mask = np.zeros((SIZE[1], SIZE[0]), dtype=bool)
        x, y = rng.integers(0, SIZE[0] - 4), rng.integers(0, SIZE[1] - 4)
        mask[y : y + rng.integers(3, 15), x : x + rng.integers(3, 15)] = True
        mask &= rng.random(mask.shape) < 0.9
        mask[y, x] = True
        masks.append(mask)
    return Segments.from_masks(masks, frame=FRAME, size_raster=SIZE)


def make_scores(coords: np.ndarray, probability: np.ndarray, groups: int | None = None) -> SlideScores:
    n = len(coords)
    both = np.stack([1 - probability, probability], axis=1).astype(np.float32)
    scored = None
    if groups is not None:
        one, two = np.arange(groups, dtype=np.float32), np.full((groups, 2), 0.25, dtype=np.float32)
        scored = GroupScores(one, two, two, one, two, two)
    return SlideScores(
        slide_id="s",
        classes=("normal", "tumour"),
        coords_px0=coords.astype(np.int32),
        probabilities=np.array([0.1, 0.9], dtype=np.float32),
        attention=np.linspace(0, 1, n, dtype=np.float32),
        evidence=None,
        patch_probability=both,
        logits=np.zeros(2, dtype=np.float32),
        bias=np.zeros(2, dtype=np.float32),
        groups=scored,
    )


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1))
def test_rasterise_takes_the_pixels_whose_centre_is_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    area = wobbly(rng, (260.0, 160.0), 120.0)
    if rng.random() < 0.5:
        area = shapely.difference(area, wobbly(rng, (250.0, 150.0), 40.0))
    if rng.random() < 0.5:
        area = shapely.union(area, wobbly(rng, (420.0, 270.0), 60.0))
    expected = shapely.contains_xy(area, *centres(FRAME, SIZE))
    assert np.array_equal(rasterise(area, frame=FRAME, size_raster=SIZE), expected)


def test_pixels_and_what_lies_outside_make_the_area() -> None:
    area = shapely.box(0, 0, 260, 200)
    mask = rasterise(area, frame=FRAME, size_raster=SIZE)
    outside = area_outside(area, frame=FRAME, size_raster=SIZE)
    assert mask.sum() == 400  # 20 x 20 pixels
    assert mask.sum() + outside == pytest.approx(area.area / (8.0 * 7.5))
    assert not rasterise(Polygon(), frame=FRAME, size_raster=SIZE).any()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 6))
def test_purity_recall_iou_and_cover_against_full_masks(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    segments = make_segments(rng, count)
    area = wobbly(rng, (260.0, 160.0), 90.0)
    result = compare_groups(segments, [Annotation("a", "Tumor", area)])
    target = shapely.contains_xy(area, *centres(FRAME, SIZE))
    for k in range(count):
        mask = segments.mask(k)
        both = (mask & target).sum()
        assert result.purity[k] == pytest.approx(both / mask.sum())
        assert result.recall[k] == pytest.approx(both / target.sum())
        assert result.iou[k] == pytest.approx(both / (mask | target).sum())
    # greedy: the cover's IoU is that of its union, at least the best single one, never above the best of all sets
    sets = [subset for size in range(1, count + 1) for subset in itertools.combinations(range(count), size)]
    union_iou = {
        subset: (m & target).sum() / (m | target).sum()
        for subset in sets
        for m in [np.any([segments.mask(k) for k in subset], axis=0)]
    }
    if result.cover.segments:
        assert result.cover.iou == pytest.approx(union_iou[tuple(sorted(result.cover.segments))])
        assert result.cover.segments[0] == int(result.iou.argmax())
        for k in set(range(count)) - set(result.cover.segments):
            assert union_iou[tuple(sorted({*result.cover.segments, k}))] <= result.cover.iou + 1e-12
    assert result.cover.iou >= result.iou.max() - 1e-12
    assert result.cover.iou <= max(union_iou.values()) + 1e-12


def test_two_halves_cover_the_annotation_and_noise_is_left_out() -> None:
    left, right, noise = (np.zeros((SIZE[1], SIZE[0]), dtype=bool) for _ in range(3))
    left[5:15, 5:12] = right[5:15, 12:20] = noise[20:28, 20:30] = True
    segments = Segments.from_masks([noise, left, right], frame=FRAME, size_raster=SIZE)
    box = shapely.box(*FRAME.to_px0((5, 5)), *FRAME.to_px0((20, 15)))
    result = compare_groups(segments, [Annotation("a", None, box)])
    assert result.cover.segments == (2, 1)
    assert (result.cover.iou, result.cover.purity, result.cover.recall) == (1.0, 1.0, 1.0)
    assert [row["in_cover"] for row in result.to_rows()] == [False, True, True]
    assert result.summary()["best_segment"] == 2
    assert result.classification == "unclassified"


def test_recall_counts_what_lies_beyond_the_image() -> None:
    everything = np.ones((SIZE[1], SIZE[0]), dtype=bool)
    segments = Segments.from_masks([everything], frame=FRAME, size_raster=SIZE)
    (left, top), (right, bottom) = FRAME.to_px0([(0, 0), SIZE])
    area = shapely.box(left, top, right + (right - left), bottom)
    result = compare_groups(segments, [Annotation("a", "Tumor", area)])
    assert result.recall[0] == pytest.approx(0.5)
    assert result.iou[0] == pytest.approx(0.5)


def test_no_segment_and_no_annotation() -> None:
    area = Annotation("a", "Tumor", shapely.box(120, 60, 200, 200))
    result = compare_groups(Segments.empty(FRAME, SIZE), [area])
    assert (len(result), result.to_rows(), result.cover.iou) == (0, [], 0.0)
    assert result.summary()["best_segment"] is None
    with pytest.raises(DataError, match="no annotation"):
        compare_groups(Segments.empty(FRAME, SIZE), [])


def test_groups_pick_their_segments_and_bring_their_scores() -> None:
    rng = np.random.default_rng(3)
    segments = make_segments(rng, 5)
    chosen = np.array([4, 1], dtype=np.int32)
    groups = Groups(
        indptr=np.array([0, 1, 2], dtype=np.int64),
        indices=np.array([0, 1], dtype=np.int32),
        area_raster=segments.area[chosen].astype(np.float64),
        area_um2=np.full(2, np.nan),
        group_of_patch=np.array([0, 1], dtype=np.int32),
        segment_of_group=chosen,
    )
    area = Annotation("a", "Tumor", shapely.box(150, 60, 300, 200))
    coords = np.array([(160, 70), (400, 250)])
    scores = make_scores(coords, np.array([0.9, 0.2]), groups=2)
    result = compare_groups(segments, [area], groups=groups, scores=scores, patch_size_px0=(20, 20))
    assert result.segment.tolist() == [4, 1]
    everything = compare_groups(segments, [area])
    assert np.array_equal(result.iou, everything.iou[chosen])
    assert result.to_rows()[1]["attention_mass"] == 1.0
    assert result.to_rows()[1]["mean_p_tumour"] == 0.25
    assert result.summary()["probability_auc"] == 1.0
    assert result.summary()["attention_auc"] == 0.0
    with pytest.raises(DataError, match="patch size"):
        compare_groups(segments, [area], scores=scores)
    with pytest.raises(DataError, match="3 groups were scored, there are 2"):
        compare_groups(
            segments,
            [area],
            groups=groups,
            scores=make_scores(coords, coords[:, 0] / 1e3, 3),
            patch_size_px0=(20, 20),
        )
    with pytest.raises(DataError, match="comes from segment 4"):
        compare_groups(make_segments(rng, 3), [area], groups=groups)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), width=st.integers(3, 60), height=st.integers(3, 60))
def test_patch_inside_is_the_exact_share(seed: int, width: int, height: int) -> None:
    rng = np.random.default_rng(seed)
    polygons = [wobbly(rng, (150.0, 150.0), 100.0), wobbly(rng, (220.0, 150.0), 80.0)]
    coords = np.stack(np.meshgrid(np.arange(0, 320, 40), np.arange(0, 320, 40)), -1).reshape(-1, 2)
    union = shapely.union_all(polygons)
    expected = [
        shapely.intersection(union, shapely.box(x, y, x + width, y + height)).area / (width * height)
        for x, y in coords
    ]
    assert np.allclose(patch_inside(coords, (width, height), polygons), expected, atol=1e-9)


def test_patch_inside_without_anything() -> None:
    assert patch_inside(np.zeros((0, 2)), (5, 5), [shapely.box(0, 0, 1, 1)]).shape == (0,)
    assert patch_inside([(0, 0), (9, 9)], (5, 5), []).tolist() == [0.0, 0.0]


def test_patch_auc_matches_pair_counting() -> None:
    rng = np.random.default_rng(0)
    coords = np.stack(np.meshgrid(np.arange(0, 400, 20), np.arange(0, 400, 20)), -1).reshape(-1, 2)
    probability = rng.random(len(coords)).round(2)
    scores = make_scores(coords, probability)
    area = wobbly(rng, (200.0, 200.0), 150.0)
    result = patch_agreement(scores, area, size_px0=(20, 20))
    truth, found = result.inside >= 0.5, scores.patch_probability[:, 1]
    pairs = np.sign(found[truth][:, None] - found[~truth][None, :])
    assert result.probability_auc == pytest.approx((pairs.mean() + 1) / 2)
    other = patch_agreement(scores, area, size_px0=(20, 20), positive="normal")
    assert other.probability_auc == pytest.approx(1 - result.probability_auc)
    nowhere = patch_agreement(scores, shapely.box(-50, -50, -10, -10), size_px0=(20, 20))
    assert (nowhere.attention_auc, nowhere.probability_auc) == (None, None)
    with pytest.raises(DataError, match="no class 'stroma'"):
        patch_agreement(scores, area, size_px0=(20, 20), positive="stroma")
