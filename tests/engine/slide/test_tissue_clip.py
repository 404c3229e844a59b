"""Tissue cut to a region."""

from __future__ import annotations

import numpy as np
import pytest

from sam_mil_engine.slide.tissue_clip import clip_tissue
from sam_mil_engine.slide.tissue_regions import TissueRegions


def square(left, top, side):
    return np.array([(left, top), (left + side, top), (left + side, top + side), (left, top + side)], float)


TISSUE = TissueRegions(
    ((square(0, 0, 100), (square(40, 40, 20),)), (square(200, 0, 50), ())), np.array([9600.0, 2500])
)


def test_what_is_outside_goes_and_holes_stay():
    cut = clip_tissue(TISSUE, [[(0, 0), (70, 0), (70, 100), (0, 100)]])
    assert len(cut) == 1
    assert cut.area_px0[0] == pytest.approx(7000 - 400)
    assert len(cut.polygons_px0[0][1]) == 1
    assert cut.bounds_px0 == (0, 0, 70, 100)
    assert "region" in cut.method


def test_several_rings_count_once_and_pieces_come_by_area():
    ring = [(0, 0), (300, 0), (300, 10), (0, 10)]
    cut = clip_tissue(TISSUE, [ring, ring])
    np.testing.assert_allclose(cut.area_px0, [1000, 500])


def test_a_region_beside_the_tissue_or_touching_it_holds_none():
    assert len(clip_tissue(TISSUE, [[(100, 0), (200, 0), (200, 100), (100, 100)]])) == 0


def test_a_region_that_crosses_itself_is_taken_as_its_area():
    cut = clip_tissue(TISSUE, [[(0, 0), (40, 40), (40, 0), (0, 40)]])
    assert cut.area_px0.sum() == pytest.approx(800)
