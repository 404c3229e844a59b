"""Frames of the engine and transforms of napari say the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from napari.layers import Image, Shapes

from napari_sam_mil.analysis.placement import place_points, place_raster, points_to_world, world_to_points
from sam_mil_engine.geometry import Frame

number = st.floats(-1e4, 1e4)
step = st.floats(0.5, 256)
mpps = st.one_of(st.none(), st.tuples(st.floats(0.1, 4), st.floats(0.1, 4)))


def edges(layer: Image) -> np.ndarray:
    """World corners (2, 2) of what an image covers: half a pixel beyond the centres of its outermost pixels."""
    half = np.asarray(layer.scale) / 2
    return np.asarray(layer.extent.world) + np.stack([-half, half])


@given(st.tuples(number, number), st.tuples(step, step), mpps)
def test_a_raster_covers_what_its_frame_says(origin, downsample, mpp):
    frame = Frame(origin_px0=origin, downsample=downsample)
    layer = Image(np.zeros((3, 5)), **place_raster(frame, mpp))
    expected = points_to_world(frame.to_px0([(0, 0), (5, 3)]), mpp)
    np.testing.assert_allclose(edges(layer), expected, atol=1e-6 * 1e4)


def test_the_slide_starts_half_a_pixel_before_the_origin():
    layer = Image(np.zeros((4, 6)), **place_raster(Frame(), (0.25, 0.5)))
    np.testing.assert_allclose(edges(layer), [[-0.25, -0.125], [1.75, 1.375]])
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]


def test_without_mpp_the_world_is_pixels():
    placed = place_raster(Frame(downsample=(2, 2)), None)
    assert placed == {"scale": (2.0, 2.0), "translate": (0.5, 0.5), "units": ("pixel", "pixel")}


@given(st.tuples(number, number), mpps)
def test_points_come_back(point, mpp):
    np.testing.assert_allclose(world_to_points(points_to_world(point, mpp), mpp), point, atol=1e-6)


def test_vertices_lie_where_points_to_world_says():
    vertices = np.array([(10, 20), (30, 20), (30, 50)], float)
    layer = Shapes([vertices], shape_type="polygon", **place_points((0.5, 0.25)))
    np.testing.assert_allclose(layer.data_to_world(vertices[0]), points_to_world((20, 10), (0.5, 0.25)))
