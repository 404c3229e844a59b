from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.groups import UNSEGMENTED
from sam_mil_engine.segment.membership import assign_groups
from sam_mil_engine.segment.segments import Segments

RULES = ("any", "centre", "majority", "released")


@st.composite
def cases(draw):
    """Masks, and patches that lie on, across and beside the raster; the downsample may be no power of two."""
    width, height = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    masks = []
    for _ in range(draw(st.integers(0, 6))):
        mask = rng.random((height, width)) < rng.choice([0.02, 0.3, 1.0])
        mask[rng.integers(0, height), rng.integers(0, width)] = True
        y, x = rng.integers(0, height), rng.integers(0, width)
        mask[y + rng.integers(1, 12) :], mask[:, x + rng.integers(1, 12) :] = False, False
        if mask.any():
            masks.append(mask)
    downsample = draw(
        st.sampled_from([Fraction(1), Fraction(2), Fraction(8), Fraction(5, 3), Fraction(4001, 1000)])
    )
    origin = draw(st.integers(-9, 40)), draw(st.integers(-9, 40))
    size = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    reach = np.array([width, height]) * float(downsample)
    coords = rng.integers(np.array(origin) - 30, np.array(origin) + reach + 30, size=(draw(st.integers(0, 12)), 2))
    frame = Frame(tuple(map(float, origin)), (float(downsample), float(downsample)))
    segments = Segments.from_masks(masks, frame=frame, size_raster=(width, height))
    return segments, masks, coords.astype(np.int32), size, downsample


def is_member(mask, coord, size, *, origin, downsample, rule):
    """The rules one patch and one mask at a time, in exact fractions."""
    height, width = mask.shape
    start = [Fraction(int(c) - int(o)) / downsample for c, o in zip(coord, origin, strict=True)]
    end = [s + Fraction(side) / downsample for s, side in zip(start, size, strict=True)]
    if rule == "centre":
        x, y = (floor((s + e) / 2) for s, e in zip(start, end, strict=True))
        return 0 <= x < width and 0 <= y < height and bool(mask[y, x])
    left, top = max(0, floor(start[0])), max(0, floor(start[1]))
    right, bottom = min(width, ceil(end[0])), min(height, ceil(end[1]))
    if right <= left or bottom <= top:
        return False
    part = mask[top:bottom, left:right]
    return bool(part.any()) if rule == "any" else 2 * int(part.sum()) > part.size


def released_members(segments, masks, coords, size):
    """The released loop: rounded corner, whole side, corner inside SAM's box, which ends at the last pixel."""
    found = []
    for mask, (x, y, w, h) in zip(masks, segments.boxes_raster.tolist(), strict=True):
        members = []
        for number, coord in enumerate(coords):
            adjusted = np.round((coord - np.array(segments.frame.origin_px0)) / segments.frame.downsample).astype(
                int
            )
            side_x, side_y = (int(s // d) for s, d in zip(size, segments.frame.downsample, strict=True))
            if not (x <= adjusted[0] < x + w - 1 and y <= adjusted[1] < y + h - 1):
                continue
            if mask[adjusted[1] : adjusted[1] + side_y, adjusted[0] : adjusted[0] + side_x].any():
                members.append(number)
        found.append(members)
    return found


@settings(max_examples=300)
@given(cases(), st.sampled_from(RULES))
def test_every_rule_is_what_the_loop_finds(case, rule):
    segments, masks, coords, size, downsample = case
    if rule == "released":
        expected = released_members(segments, masks, coords, size)
    else:
        origin = segments.frame.origin_px0
        expected = [
            [
                n
                for n, coord in enumerate(coords)
                if is_member(mask, coord, size, origin=origin, downsample=downsample, rule=rule)
            ]
            for mask in masks
        ]
    groups = assign_groups(segments, coords, size, rule=rule)

    kept = [number for number, members in enumerate(expected) if members]
    assert groups.segment_of_group.tolist() == kept
    assert [groups.patches(k).tolist() for k in range(len(groups))] == [expected[number] for number in kept]
    assert groups.area_raster.tolist() == [segments.area[number] for number in kept]
    for patch, group in enumerate(groups.group_of_patch.tolist()):
        holding = [k for k in range(len(groups)) if patch in groups.patches(k)]
        smallest = min(holding, key=lambda k: (groups.area_raster[k], k), default=UNSEGMENTED)
        assert group == smallest


@settings(max_examples=100)
@given(cases())
def test_majority_and_centre_and_released_are_stricter_than_any(case):
    segments, _, coords, size, _ = case
    pairs = {}
    for rule in ("any", "centre", "majority"):
        groups = assign_groups(segments, coords, size, rule=rule)
        members = np.repeat(groups.segment_of_group, groups.sizes)
        pairs[rule] = set(zip(members.tolist(), groups.indices.tolist(), strict=True))
    assert pairs["centre"] <= pairs["any"]
    assert pairs["majority"] <= pairs["any"]


def nested():
    outer = np.zeros((8, 8), dtype=bool)
    outer[0:6, 0:6] = True
    inner, far = np.zeros_like(outer), np.zeros_like(outer)
    inner[2:4, 2:4], far[7, 7] = True, True
    frame = Frame((100.0, 50.0), (4.0, 2.0))
    return Segments.from_masks([outer, far, inner], frame=frame, size_raster=(8, 8))


def test_areas_and_the_smallest_group():
    coords = np.array([(100, 50), (108, 54), (130, 64)], dtype=np.int32)
    groups = assign_groups(nested(), coords, (4, 2), mpp=(0.5, 0.25))
    assert groups.segment_of_group.tolist() == [0, 1, 2]
    assert groups.indptr.dtype == np.int64
    assert groups.indices.dtype == np.int32
    assert [groups.patches(k).tolist() for k in range(3)] == [[0, 1], [2], [1]]
    assert groups.group_of_patch.tolist() == [0, 2, 1]
    assert groups.area_raster.tolist() == [36, 1, 4]
    np.testing.assert_allclose(groups.area_um2, np.array([36, 1, 4]) * (4 * 2) * (0.5 * 0.25))


def test_without_mpp_there_is_no_area_in_um():
    groups = assign_groups(nested(), np.array([(100, 50)]), (4, 2))
    assert len(groups) == 1
    assert np.isnan(groups.area_um2).all()


def test_of_equal_segments_the_first_is_the_smallest():
    mask = np.ones((4, 4), dtype=bool)
    twice = Segments.from_masks([mask, mask], frame=Frame(), size_raster=(4, 4))
    groups = assign_groups(twice, np.array([(0, 0)]), (2, 2))
    assert len(groups) == 2
    assert groups.group_of_patch.tolist() == [0]


@pytest.mark.parametrize("rule", RULES)
def test_nothing_to_assign(rule):
    none = Segments.empty(Frame(), (4, 4))
    groups = assign_groups(none, np.array([(0, 0), (2, 2)]), (2, 2), rule=rule)
    assert len(groups) == 0
    assert groups.indptr.tolist() == [0]
    assert groups.group_of_patch.tolist() == [UNSEGMENTED] * 2
    assert len(assign_groups(nested(), np.zeros((0, 2)), (2, 2), rule=rule)) == 0


def one_mask(rows, *, downsample=1.0):
    mask = np.array([[cell == "#" for cell in row] for row in rows])
    frame = Frame((0.0, 0.0), (downsample, downsample))
    return Segments.from_masks([mask], frame=frame, size_raster=(mask.shape[1], mask.shape[0]))


def test_exactly_half_is_no_majority():
    segments = one_mask(["##.", "..#"])
    groups = assign_groups(segments, np.array([(0, 0), (1, 0)]), (2, 2), rule="majority")
    assert len(groups) == 0
    groups = assign_groups(segments, np.array([(0, 0), (0, 0)]), (2, 1), rule="majority")
    assert groups.patches(0).tolist() == [0, 1]


def test_rounding_noise_at_a_pixels_edge_is_no_overlap():
    # The patch ends at the edge of column 3, not in it, though floating point says a little more than 3.
    segments = one_mask(["...#"], downsample=0.1)
    shifted = Segments.from_crops(
        segments.crops,
        [tuple(segments.boxes_raster[0].tolist())],
        frame=Frame((0.7, 0.0), (0.1, 1.0)),
        size_raster=(4, 1),
    )
    assert (1.0 - 0.7) / 0.1 > 3.0
    assert len(assign_groups(shifted, np.array([(0, 0)]), (1.0, 1.0))) == 0


@pytest.mark.parametrize(("corner", "inside"), [((1, 1), True), ((0, 1), False), ((1, 0), False)])
def test_the_released_rule_wants_the_corner_in_the_masks_box(corner, inside):
    segments = one_mask(["....", ".##.", ".##."])
    assert len(assign_groups(segments, np.array([corner]), (2, 2), rule="any")) == 1
    assert (len(assign_groups(segments, np.array([corner]), (2, 2), rule="released")) == 1) == inside
