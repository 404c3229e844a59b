"""Lines of outlines are as wide on the screen at every zoom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from napari.components import ViewerModel
from napari.layers import Layer, Shapes

from napari_sam_mil.analysis.source import METADATA_KEY, LayerTag
from napari_sam_mil.layers.annotations import annotations_layer
from napari_sam_mil.layers.line_width import LINE, keep_lines_thin, set_line_width
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.slide.info import SlideInfo


def square():
    return Shapes([np.array([(0, 0), (0, 40), (20, 40), (20, 0)], float)], scale=(0.25, 0.25))


@pytest.mark.parametrize("zoom", [0.01, 1.0, 37.0])
def test_a_line_has_the_same_width_on_the_screen(zoom):
    layer = square()
    set_line_width(layer, zoom)
    assert layer.edge_width[0] * 0.25 * zoom == pytest.approx(LINE)
    layer.add_polygons(np.array([(10, 10), (10, 50), (50, 50)]))
    assert layer.edge_width[1] == layer.edge_width[0], "what is drawn next has the same"


def test_the_width_that_the_user_chose_is_kept_on_the_screen():
    layer = square()
    set_line_width(layer, 1.0)
    layer.edge_width = 3 * layer.edge_width[0]
    set_line_width(layer, 10.0)
    assert layer.edge_width[0] * 0.25 * 10 == pytest.approx(3 * LINE)


def test_shapes_are_drawn_once_for_a_zoom_and_not_at_all_where_it_hardly_changes():
    layer, drawn = square(), []
    layer.events.edge_width.connect(lambda _event: drawn.append(1))
    set_line_width(layer, 1.0)
    set_line_width(layer, 1.01)
    assert drawn == [1]
    set_line_width(layer, 1.5)
    assert drawn == [1, 1]


def test_zooming_and_new_layers_change_tissue_and_annotations_and_no_other_shapes(qtbot):
    viewer = ViewerModel()
    keep_lines_thin(viewer)
    info = SlideInfo(Path("a"), "openslide", "x", (9000, 9000), ((9000, 9000),), ((1.0, 1.0),), mpp=(0.5, 0.5))
    other = viewer.add_shapes(square().data, edge_width=7)
    outlines = annotations_layer([Annotation("a", "A", shapely.box(0, 0, 9, 9))], info, mpp=info.mpp)
    viewer.scene.camera.zoom = 4.0
    layers = [Layer.create(*outlines), Layer.create(*outlines)]
    for layer, kind in zip(layers, ("tissue", "annotations"), strict=True):
        layer.metadata = {METADATA_KEY: LayerTag(kind, None)}
        viewer.add_layer(layer)
        assert layer.edge_width[0] == pytest.approx(LINE / 4 / 0.5)
    viewer.scene.camera.zoom = 0.5
    for layer in layers:
        qtbot.waitUntil(lambda layer=layer: layer.edge_width[0] == pytest.approx(LINE / 0.5 / 0.5))
    assert other.edge_width[0] == 7
