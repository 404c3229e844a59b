from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sam_mil_engine.errors import SegmentError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.image import segmentation_image, tissue_mask
from sam_mil_engine.settings import SegmentSettings
from sam_mil_engine.slide.info import SlideInfo
from sam_mil_engine.slide.tissue_regions import TissueRegions


class FakeSlide:
    """A white slide that remembers what was asked of it."""

    def __init__(self, size_px0):
        self.info = SlideInfo(Path("fake.svs"), "fake", "fake", size_px0, (size_px0,), ((1.0, 1.0),))
        self.asked = []

    def read_image(self, *, bounds_px0=None, max_side=None, downsample=None):
        self.asked.append((bounds_px0, downsample))
        left, top, right, bottom = bounds_px0
        size = max(1, round((bottom - top) / downsample)), max(1, round((right - left) / downsample))
        return np.full((*size, 3), 255, dtype=np.uint8), Frame((left, top), (downsample, downsample))


def box(left, top, right, bottom, holes=()):
    ring = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=float)
    return ring, tuple(np.asarray(hole, dtype=float) for hole in holes)


def regions(*polygons):
    return TissueRegions(polygons, np.ones(len(polygons)))


@pytest.mark.parametrize(
    ("longest", "downsample"), [(10, 1), (1024, 1), (1025, 2), (2048, 2), (2049, 4), (100_000, 128)]
)
def test_the_downsample_is_the_next_power_of_two(longest, downsample):
    slide = FakeSlide((200_000, 200_000))
    segmentation_image(slide, regions(box(100, 200, 100 + longest, 210)), SegmentSettings(max_side=1024))
    assert slide.asked == [((100, 200, 100 + longest, 210), downsample)]


def test_the_box_is_cut_to_the_slide_and_whole():
    slide = FakeSlide((100, 80))
    found = segmentation_image(slide, regions(box(-5.5, 3.2, 140.0, 20.1)), SegmentSettings())
    assert slide.asked == [((0, 3, 100, 21), 1)]
    assert found.size_raster == (100, 18)
    assert found.tissue.shape == (18, 100)


def test_tissue_at_the_very_edge_gives_one_pixel():
    slide = FakeSlide((100, 80))
    found = segmentation_image(slide, regions(box(100, 80, 100, 80)), SegmentSettings())
    assert found.size_raster == (1, 1)


def test_all_pieces_are_in_and_holes_are_out():
    hole = [(20, 20), (40, 20), (40, 40), (20, 40)]
    tissue = regions(box(0, 0, 60, 60, holes=[hole]), box(80, 0, 100, 20))
    mask = tissue_mask(tissue, Frame((0, 0), (2, 2)), (50, 30))
    assert mask[5, 5]
    assert mask[5, 45]
    assert not mask[15, 15]
    assert not mask[5, 35]
    assert not mask[20, 45]
    # Half the side at twice the downsample, each with the outline of one pixel.
    assert abs(mask.sum() - (30 * 30 - 10 * 10 + 10 * 10)) <= 2 * (30 + 30) + 2 * (10 + 10) * 2


def test_a_piece_smaller_than_a_pixel_covers_one():
    mask = tissue_mask(regions(box(33, 33, 34, 34)), Frame((0, 0), (8, 8)), (10, 10))
    assert np.argwhere(mask).tolist() == [[4, 4]]


def test_no_tissue_is_an_error_with_the_slide_named():
    with pytest.raises(SegmentError, match=r"fake\.svs: there is no tissue"):
        segmentation_image(FakeSlide((10, 10)), regions(), SegmentSettings())


def test_a_real_slide(cmu_slide):
    from sam_mil_engine.slide.reader import open_slide

    slide = open_slide(cmu_slide)
    found = segmentation_image(slide, regions(box(500, 600, 1700, 1900)), SegmentSettings(max_side=512))
    assert found.frame.downsample == pytest.approx((4, 4), rel=0.01)
    assert found.size_raster == pytest.approx((300, 325), abs=1)
    assert found.tissue.mean() > 0.95


def test_a_square_on_whole_pixels_is_centred_where_it_lies():
    # Outlines count, and lie half a pixel off the centres: as much is painted on the left as on the right.
    mask = tissue_mask(regions(box(40.5, 40.5, 60.5, 60.5)), Frame((0, 0), (1, 1)), (100, 100))
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 60, 40, 60)
