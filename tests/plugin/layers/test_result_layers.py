"""Engine results become layers in the right places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.layers import Layer

from napari_sam_mil.analysis.segment_table import class_title, segment_table
from napari_sam_mil.layers.results import result_layers, with_holes
from sam_mil_engine.geometry import Frame
from sam_mil_engine.mil.scores import GroupScores, SlideScores
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.slide.info import SlideInfo
from sam_mil_engine.slide.tile_grid import TileGrid
from sam_mil_engine.slide.tissue_regions import TissueRegions

MPP = (0.5, 0.5)
INFO = SlideInfo(Path("a.svs"), "fake", "fake", (400, 300), ((400, 300),), ((1.0, 1.0),), mpp=MPP)
COORDS = np.array([(100, 50), (150, 50), (200, 150)], np.int32)
GRID = TileGrid(COORDS, (50.0, 50.0), 0, (50, 50), 50, (50.0, 50.0), 0.5)


def square(left, top, right, bottom):
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)


def scores(**changes):
    values = {
        "slide_id": "a",
        "classes": ("normal", "tumor"),
        "coords_px0": COORDS,
        "probabilities": np.array([0.3, 0.7], np.float32),
        "attention": np.array([0.5, 0.3, 0.2], np.float32),
        "evidence": np.array([[1, -1], [0, 0], [-2, 2]], np.float32),
        "patch_probability": np.array([[0.1, 0.9], [0.5, 0.5], [0.8, 0.2]], np.float32),
        "logits": np.zeros(2, np.float32),
        "bias": np.zeros(2, np.float32),
    }
    return SlideScores(**(values | changes))


@pytest.fixture
def segments():
    big, small = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    big[2:18, 3:20], small[5:8, 6:10] = True, True
    return Segments.from_masks([big, small], frame=Frame((80, 40), (8, 8)), size_raster=(30, 20))


def layer_of(**known) -> dict[str, Layer]:
    return {kind: Layer.create(*data) for kind, data in result_layers(info=INFO, mpp=MPP, **known).items()}


def test_layers_come_in_the_order_of_the_design_with_their_names(segments):
    tissue = TissueRegions(((square(0, 0, 99, 99), ()),), np.array([99.0 * 99]))
    layers = layer_of(tissue=tissue, segments=segments, grid=GRID, scores=scores(), segmenter="regions")
    assert [layer.name for layer in layers.values()] == [
        "tissue", "segments (regions)", "attention", "tumour probability", "evidence",
    ]  # fmt: skip


def test_maps_have_one_pixel_a_patch_and_nothing_where_no_patch_is():
    layer = layer_of(grid=GRID, scores=scores())["probability"]
    assert layer.data.shape == (3, 3)
    np.testing.assert_allclose(layer.data[0, :2], [0.9, 0.5])
    assert np.isnan(layer.data[1]).all()
    assert layer.colormap.map(np.array([np.nan]))[0, 3] == 0, "no patch, no colour"
    assert tuple(layer.contrast_limits) == (0, 1)


def test_a_map_covers_its_patches_exactly():
    layer = layer_of(grid=GRID, scores=scores())["attention"]
    top_left, bottom_right = np.asarray(layer.extent.world) + np.stack([-layer.scale / 2, layer.scale / 2])
    # patches reach from x=100..250, y=50..200 in level-0 pixels; the centre of pixel 0 is at 0
    np.testing.assert_allclose(top_left, [(50 - 0.5) * 0.5, (100 - 0.5) * 0.5])
    np.testing.assert_allclose(bottom_right, [(200 - 0.5) * 0.5, (250 - 0.5) * 0.5])


def test_segments_lie_in_their_frame_in_the_smallest_type(segments):
    layer = layer_of(segments=segments)["segments"]
    assert layer.data.dtype == np.uint8
    assert layer.get_value(layer.data_to_world((6, 7)), world=True) == 2, "the small segment lies on the large one"
    # level-0 point (80 + 7.5 * 8, 40 + 6.5 * 8) is the middle of raster pixel (7, 6)
    world = (np.array([40 + 6.5 * 8, 80 + 7.5 * 8]) - 0.5) * 0.5
    np.testing.assert_allclose(layer.data_to_world((6, 7)), world)


def test_hovering_over_a_segment_tells_its_scores(segments):
    groups = Groups(
        indptr=np.array([0, 2]), indices=np.array([0, 2], np.int32), area_raster=np.array([12.0]),
        area_um2=np.array([192.0]), group_of_patch=np.array([0, -1, 0], np.int32),
        segment_of_group=np.array([1], np.int32),
    )  # fmt: skip
    one = np.array([[0.25, 0.75]], np.float32)
    of_groups = GroupScores(np.array([0.7], np.float32), one, one, np.zeros(1), np.zeros((1, 2)), 1 - one)
    scored = scores(groups=of_groups)
    table = segment_table(segments, groups=groups, scores=scored, mpp=MPP)
    layer = layer_of(segments=segments, table=table, grid=GRID, scores=scored)["segments"]
    text = layer.get_status(layer.data_to_world((6, 7)), world=True)["coordinates"]
    assert "area (µm²): 192" in text
    assert "attention mass: 0.7" in text
    assert "probability: 0.75" in text
    assert "slide without: 0.25" in text
    lonely = layer.get_status(layer.data_to_world((3, 4)), world=True)["coordinates"]
    assert "area" in lonely
    assert "attention" not in lonely, "a segment without patches has no such score"


def test_holes_stay_open_in_the_shapes_layer():
    tissue = TissueRegions(
        ((square(10, 10, 90, 90), (square(30, 30, 60, 60), square(65, 65, 80, 80))),), np.ones(1)
    )
    layer = layer_of(tissue=tissue)["tissue"]
    mesh = layer._data_view.shapes[0]
    corners = mesh._face_vertices[mesh._face_triangles]
    sides = np.diff(corners, axis=1)
    area = np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]).sum() / 2
    assert area == pytest.approx(80 * 80 - 30 * 30 - 15 * 15)


def test_a_polygon_without_holes_is_just_closed():
    np.testing.assert_array_equal(with_holes(square(0, 0, 2, 3), ())[[0, -1]], [[0, 0], [0, 0]])


def test_a_model_without_attention_or_linear_head_has_no_such_layer():
    assert set(layer_of(grid=GRID, scores=scores(attention=None, evidence=None))) == {"probability"}


def test_nothing_known_gives_no_layer():
    assert layer_of() == {}
    assert layer_of(tissue=TissueRegions((), np.zeros(0))) == {}


@pytest.mark.parametrize(("name", "title"), [("Tumor", "tumour probability"), ("LUSC", "LUSC probability")])
def test_the_map_is_named_after_the_class(name, title):
    assert class_title(name) == title
