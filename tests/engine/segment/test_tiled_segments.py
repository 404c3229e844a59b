"""Segments at a physical resolution: tiles that are segmented on their own and joined."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from disc_slides import Dark, DarkAndAround, DiscSlide, squares

from sam_mil_engine.bag import h5
from sam_mil_engine.bag.h5 import masks
from sam_mil_engine.errors import Cancelled
from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.membership import assign_groups
from sam_mil_engine.segment.packed import PackedMasks
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.segment.tiled.both_scales import with_coarse
from sam_mil_engine.segment.tiled.layout import lay_tiles
from sam_mil_engine.segment.tiled.run import segment_tiles
from sam_mil_engine.settings import SegmentSettings

#: Tiles of 64 px, 56 px apart.
FINE = SegmentSettings(mpp=1.0, max_side=64)
CORNER = (60, 60, 15)


def found(slide, tissue, folder, *, segmenter=None, settings=FINE, shuffle=False, key="k", **options):
    layout = lay_tiles(slide, tissue, settings, mpp=slide.info.mpp)
    if shuffle:
        layout = replace(layout, tiles=layout.tiles[::-1])
    return segment_tiles(slide, tissue, layout, segmenter or Dark(), folder=folder, key=key, **options)


def many_discs():
    rng = np.random.default_rng(3)
    return [(int(x), int(y), int(radius)) for x, y, radius in rng.integers((20, 20, 4), (380, 380, 18), (30, 3))]


def same(one, two):
    assert one.boxes_raster.tolist() == two.boxes_raster.tolist()
    assert all(np.array_equal(a, b) for a, b in zip(one.crops, two.crops, strict=True))
    assert one.area.tolist() == two.area.tolist()
    np.testing.assert_array_equal(one.predicted_iou, two.predicted_iou)


@pytest.mark.parametrize("mpp", [1.0, 2.0])
def test_a_disc_across_four_tiles_is_one_segment(tmp_path, mpp):
    slide = DiscSlide(int(200 * mpp), [tuple(int(value * mpp) for value in CORNER)])
    segments = found(
        slide, squares((0, 0, 200 * mpp, 200 * mpp)), tmp_path, settings=FINE.model_copy(update={"mpp": mpp})
    )
    assert len(segments) == 1
    assert segments.frame.downsample == (mpp, mpp)
    if mpp == 1:
        assert segments.area[0] == slide.disc(0).sum()
        assert np.array_equal(segments.crops[0], slide.disc(0)[1:-1, 1:-1])


def test_neither_the_order_of_tiles_nor_the_number_of_workers_counts(tmp_path):
    slide, tissue = DiscSlide(400, many_discs()), squares((0, 0, 400, 400))
    one = found(slide, tissue, tmp_path / "one", workers=1)
    same(one, found(slide, tissue, tmp_path / "two", workers=3, shuffle=True))
    assert len(one) > 10


def test_a_run_that_was_stopped_goes_on_with_the_next_tile(tmp_path):
    slide, tissue, segmenter = DiscSlide(400, many_discs()), squares((0, 0, 400, 400)), Dark()
    whole = found(slide, tissue, tmp_path / "whole", segmenter=segmenter)
    tiles = segmenter.asked

    def stop(report):
        if report.done == 20:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        found(slide, tissue, tmp_path / "stopped", progress=stop)
    rest = Dark()
    same(whole, found(slide, tissue, tmp_path / "stopped", segmenter=rest))
    assert rest.asked == tiles - 20
    other = Dark()
    found(slide, tissue, tmp_path / "stopped", segmenter=other, key="other settings")
    assert other.asked == tiles


def test_tiles_without_tissue_are_not_read(tmp_path):
    slide, segmenter = DiscSlide(1000, [(30, 30, 9), (970, 970, 9)]), Dark()
    segments = found(slide, squares((0, 0, 50, 50), (950, 950, 1000, 1000)), tmp_path, segmenter=segmenter)
    assert segmenter.asked <= 5
    assert len(segments) == 2


def test_nested_masks_stay_nested_over_a_border(tmp_path):
    slide = DiscSlide(120, [CORNER])
    segments = found(slide, squares((0, 0, 120, 120)), tmp_path, segmenter=DarkAndAround())
    assert sorted(segments.area.tolist()) == [int(slide.disc(0).sum()), 120 * 120]


def test_nothing_grows_without_end(tmp_path):
    class Everything(Dark):
        def segment(self, image, **_):
            whole = np.ones(image.tissue.shape, dtype=bool)
            return Segments.from_masks([whole], frame=image.frame, size_raster=image.size_raster)

    segments = found(DiscSlide(1000, []), squares((0, 0, 1000, 1000)), tmp_path, segmenter=Everything())
    assert segments.boxes_raster[:, 2:].max() <= 4 * 64
    assert (segments.label_image() > 0).all()


def test_memory_does_not_grow_with_the_slide(tmp_path):
    def peak(size):
        tissue = squares((0, 0, 3000, 3000), (size - 3000, size - 3000, size, size))
        settings = SegmentSettings(mpp=8.0, max_side=128)
        tracemalloc.start()
        segments = found(
            DiscSlide(size, [(1500, 1500, 900), (size - 1500, size - 1500, 900)]),
            tissue,
            tmp_path / str(size),
            settings=settings,
            workers=1,
        )
        labels = segments.labels()
        for top in range(0, labels.shape[0], 2048):
            labels[top : top + 2048, :2048]
        traced = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(segments) == 2
        return traced

    assert peak(100_000) < 2 * peak(12_000)


def test_labels_are_painted_where_they_are_read(tmp_path):
    segments = found(DiscSlide(400, many_discs()), squares((0, 0, 400, 400)), tmp_path)
    whole, labels = segments.label_image(), segments.labels()
    for rows, columns in (
        (slice(30, 90), slice(70, 200)),
        (slice(3, None, 4), slice(5, 300, 7)),
        (slice(0, 0),) * 2,
    ):
        assert np.array_equal(labels[rows, columns], whole[rows, columns])


def test_both_scales_are_on_one_raster():
    fine = Segments.from_masks(
        [np.eye(90, dtype=bool)], frame=Frame((10.0, 20.0), (2.0, 2.0)), size_raster=(90, 90)
    )
    coarse_mask = np.zeros((9, 9), dtype=bool)
    coarse_mask[2:5, 1:9] = True
    coarse = Segments.from_masks([coarse_mask], frame=Frame((10.0, 20.0), (20.0, 20.0)), size_raster=(9, 9))
    both = with_coarse(fine, coarse)
    assert isinstance(both.crops, PackedMasks)
    assert np.array_equal(both.mask(0), np.repeat(np.repeat(coarse_mask, 10, axis=0), 10, axis=1))
    assert np.array_equal(both.mask(1), fine.mask(0))
    assert both.area.tolist() == [coarse_mask.sum() * 100, 90]


@pytest.mark.parametrize("rule", ["any", "centre", "majority", "released"])
def test_patches_lie_in_a_mask_of_squares_as_in_its_own_image(rule):
    frame, rng = Frame((0.0, 0.0), (2.0, 2.0)), np.random.default_rng(1)
    fine = Segments.from_masks([np.eye(90, dtype=bool)], frame=frame, size_raster=(90, 90))
    coarse = Segments.from_masks(
        [rng.random((9, 9)) < 0.3 for _ in range(4)], frame=Frame((0.0, 0.0), (20.0, 20.0)), size_raster=(9, 9)
    )
    coords = rng.integers(-10, 180, size=(60, 2))
    both, alone = with_coarse(fine, coarse), assign_groups(coarse, coords, (43, 43), rule=rule)
    found = assign_groups(both, coords, (43, 43), rule=rule)
    assert len(alone)
    for group, segment in enumerate(alone.segment_of_group.tolist()):
        there = found.segment_of_group.tolist().index(segment)
        assert found.patches(there).tolist() == alone.patches(group).tolist()


def test_packed_masks_come_back_from_a_bag(tmp_path, monkeypatch):
    slide, tissue = DiscSlide(400, many_discs()), squares((0, 0, 400, 400))
    segments = found(slide, tissue, tmp_path / "tiles")
    coarse = Segments.from_masks([np.ones((7, 7), bool)], frame=Frame((0, 0), (60.0, 60.0)), size_raster=(7, 7))
    for number, given in enumerate((segments, with_coarse(segments, coarse))):
        for limit in (2**27, 100):
            monkeypatch.setattr(masks, "MANY_PIXELS", limit)
            path = tmp_path / f"{number}-{limit}.h5"
            with h5.edit_bag(path) as file:
                h5.put_segments(file, given, segmenter="dark", version="1")
            back = h5.read_segments(path)
            assert isinstance(back.crops, PackedMasks) == (limit == 100 or number == 1)
            same(given, back)
