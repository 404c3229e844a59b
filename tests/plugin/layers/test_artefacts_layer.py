"""The layer of artefacts: one colour for each kind, and what hovering says."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels, Layer

from napari_sam_mil.layers.results import artefacts_layer
from sam_mil_engine.geometry import Frame
from sam_mil_engine.slide.artefact_map import KINDS, ArtefactMap


def test_each_kind_has_its_colour_and_its_name():
    kinds = np.arange(6, dtype=np.uint8).reshape(2, 3)
    data = artefacts_layer(ArtefactMap(kinds, Frame(downsample=(16.0, 16.0))), mpp=(0.5, 0.5))
    layer = Layer.create(*data)
    assert isinstance(layer, Labels)
    assert len({tuple(layer.get_color(number + 1)) for number in range(len(KINDS))}) == len(KINDS)
    assert layer.get_color(0) is None or layer.get_color(0)[3] == 0
    assert "fold" in layer.get_status((0.0, 16.0), world=True)["coordinates"]
    np.testing.assert_allclose(layer.scale, (8.0, 8.0))


def test_without_artefacts_there_is_no_layer():
    assert artefacts_layer(ArtefactMap(np.zeros((2, 3), np.uint8), Frame()), mpp=None) is None
