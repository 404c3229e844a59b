"""What the Annotations dock computes, without a window."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from napari.layers import Labels

from napari_sam_mil.analysis.agreement import list_metrics, load_outlines
from napari_sam_mil.analysis.segment_table import segment_table
from napari_sam_mil.analysis.threshold import describe
from napari_sam_mil.layers.annotations import annotations_layer, shape_annotations
from napari_sam_mil.layers.recolour import CONTOUR, colour_segments, scale_of
from napari_sam_mil.layers.threshold_map import threshold_image
from sam_mil_engine.annotations.compare import compare_groups
from sam_mil_engine.annotations.geojson import write_geojson
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.drawing.colours import colour_table
from sam_mil_engine.errors import AnnotationError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.slide.tile_grid import TileGrid

MPP = (0.5, 0.5)


@pytest.fixture
def segments():
    left, right = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    left[2:18, 3:10], right[2:18, 20:30] = True, True
    return Segments.from_masks([left, right], frame=Frame((80, 40), (8, 8)), size_raster=(30, 20))


def box_over(segments, number):
    x, y, width, height = segments.boxes_raster[number].tolist()
    (left, top), (right, bottom) = segments.frame.to_px0([(x, y), (x + width, y + height)])
    return Annotation("a", "Tumour", shapely.box(left, top, right, bottom))


def test_the_table_gains_columns_of_agreement(segments):
    comparison = compare_groups(segments, [box_over(segments, 1)])
    table = segment_table(segments, comparison=comparison, mpp=MPP)
    np.testing.assert_array_equal(table["purity"], [0, 1])
    np.testing.assert_array_equal(table["IoU"], [0, 1])
    np.testing.assert_array_equal(table["in best set"], [0, 1])
    shown = {name: value for name, value, _ in list_metrics(comparison)}
    assert shown == {
        "Best segment": "2, IoU 1.00",
        "Best set": "2",
        "IoU": "1.00",
        "Purity": "1.00",
        "Recall": "1.00",
    }


def test_further_classes_have_columns_of_their_own(segments):
    by_class = {name: compare_groups(segments, [box_over(segments, number)]) for number, name in enumerate("AB")}
    table = segment_table(segments, comparison=by_class["B"], others={"A": by_class["A"]}, mpp=MPP)
    np.testing.assert_array_equal(table["IoU"], [0, 1])
    np.testing.assert_array_equal(table["IoU (A)"], [1, 0])
    np.testing.assert_array_equal(table["recall (A)"], [1, 0])
    assert not any("(B)" in name for name in table), "the chosen class needs no name"


def test_segments_are_coloured_by_a_column_and_back(segments):
    layer = Labels(segments.label_image())
    table = {"index": np.array([1, 2]), "purity": np.array([0.0, 1.0])}
    colour_segments(layer, table, "purity")
    assert layer.contour == 0
    ends = colour_table(scale_of(table["purity"], "purity")[0])[[0, -1]] / 255
    np.testing.assert_allclose([layer.get_color(1)[:3], layer.get_color(2)[:3]], ends, atol=1e-6)
    colour_segments(layer, table, "no such column")
    assert layer.contour == CONTOUR


def test_a_file_of_another_slide_is_refused_with_the_reason(tiny_slide, tmp_path):
    path = tmp_path / "far.geojson"
    write_geojson(path, [Annotation("far", "Tumour", shapely.box(9000, 9000, 9100, 9100))], info=None)
    with open_slide(tiny_slide) as slide, pytest.raises(AnnotationError, match="none of its 1 outlines"):
        load_outlines(path, slide.info)


def test_ellipses_and_turned_rectangles_keep_their_area_and_lines_have_none(tiny_slide):
    with open_slide(tiny_slide) as slide:
        _, meta, _ = annotations_layer([], slide.info, mpp=MPP)
    corners = np.array([(0, 0), (0, 40), (20, 40), (20, 0)], float)
    kinds = ["ellipse", "rectangle", "path"]
    found = shape_annotations([corners] * 3, {**meta, "shape_type": kinds, "features": {}}, mpp=MPP)
    assert [item.polygon.area for item in found] == pytest.approx([np.pi * 10 * 20, 800], rel=5e-3)


def test_figure_6_takes_the_patches_at_or_above_the_threshold():
    coords = np.array([(0, 0), (50, 0), (50, 50)], np.int32)
    grid = TileGrid(coords, (50.0, 50.0), 0, (50, 50), 50, (50.0, 50.0), 0.5)
    values = np.array([0.2, 0.5, 0.9], np.float32)
    np.testing.assert_array_equal(np.isfinite(threshold_image(values, 0.5, grid)), [[False, True], [False, True]])
    first, second, third = describe(values, 0.5, np.array([0.0, 0.0, 1.0])).split("; ")
    assert first == "2 of 3 patches are at or above 0.50"
    assert second == "50% of them lie inside the outlines"
    assert third == "100% of the patches inside the outlines are found."
