"""Layers that take new data where they are."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels, Shapes

from napari_sam_mil.layers.update import update_layer

SQUARE = np.array([[0.0, 0.0], [0.0, 9.0], [9.0, 9.0], [9.0, 0.0]])
MAP = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_a_map_takes_data_limits_and_place_and_keeps_what_the_user_set():
    layer = Image(MAP, name="attention", contrast_limits=(0, 11), colormap="gray")
    layer.opacity, layer.visible, layer.colormap = 0.3, False, "magma"
    words = {"name": "evidence", "contrast_limits": (-2.0, 30.0), "scale": (2.0, 2.0), "translate": (5.0, 7.0)}
    new = np.full((5, 6), 20, dtype=np.float32)
    assert update_layer(layer, (new, words | {"units": ("µm", "µm"), "colormap": "gray", "visible": True}, "image"))
    assert layer.data is new
    assert (layer.name, tuple(layer.contrast_limits)) == ("evidence", (-2.0, 30.0))
    assert (tuple(layer.scale), tuple(layer.translate)) == ((2.0, 2.0), (5.0, 7.0))
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert (layer.opacity, layer.visible, layer.colormap.name) == (0.3, False, "magma")


def test_labels_take_another_table():
    layer = Labels(np.zeros((3, 4), dtype=np.uint8), features={"area": [1.0]})
    new = np.ones((3, 4), dtype=np.uint8)
    assert update_layer(layer, (new, {"features": {"area": [4.0, 5.0]}}, "labels"))
    assert layer.data.all()
    assert list(layer.features["area"]) == [4.0, 5.0]


@pytest.mark.parametrize(
    "data",
    [
        (MAP.astype(np.uint8), {}, "image"),
        (np.zeros((3, 4, 3), np.float32), {"rgb": True}, "image"),
        (MAP.astype(np.uint8), {}, "labels"),
    ],
    ids=["other numbers", "colours", "labels"],
)
def test_what_is_drawn_in_another_way_is_not_taken(data):
    layer = Image(MAP)
    assert not update_layer(layer, data)
    assert np.array_equal(layer.data, MAP)


def test_shapes_stay_only_where_nothing_is_different():
    layer = Shapes([SQUARE], shape_type="polygon", scale=(2.0, 2.0))
    assert update_layer(layer, ([SQUARE], {"scale": (2.0, 2.0)}, "shapes"))
    assert not update_layer(layer, ([SQUARE], {"scale": (1.0, 1.0)}, "shapes"))
    assert not update_layer(layer, ([SQUARE + 1], {"scale": (2.0, 2.0)}, "shapes"))
    assert not update_layer(layer, ([SQUARE, SQUARE], {"scale": (2.0, 2.0)}, "shapes"))
