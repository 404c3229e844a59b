"""Update the data of a layer in place, and keep the user's settings of the layer.

napari takes up to half a second to remove a layer, since it then runs a full garbage collection, and another tenth
to add a new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer, Shapes

from .results import LayerData

#: Properties that belong to the data, not to the user, in the order in which they are set.
_OF_THE_DATA = ("name", "scale", "translate", "units", "contrast_limits", "features")


def update_layer(layer: Layer, data: LayerData) -> bool:
    """Give a layer new data, and return whether that was possible.

    It is possible for images and labels with the same number of axes and the same dtype, and for shapes that do not
    change.
    """
    array, keywords, type_name = data
    if type(layer).__name__.lower() != type_name:
        return False
    if isinstance(layer, Shapes):
        return _same_shapes(layer, array) and not _changed_properties(layer, keywords)
    if not isinstance(layer, Image | Labels) or layer.multiscale or not _same_kind(layer, array, keywords):
        return False
    layer.data = array
    for name in _changed_properties(layer, keywords):
        setattr(layer, name, keywords[name])
    return True


def _same_kind(layer: Image | Labels, array: npt.NDArray[Any], keywords: Mapping[str, Any]) -> bool:
    is_rgb, will_be_rgb = getattr(layer, "rgb", False), keywords.get("rgb", False)
    return (layer.data.dtype, layer.data.ndim, is_rgb) == (array.dtype, array.ndim, will_be_rgb)


def _same_shapes(layer: Shapes, shapes: Sequence[npt.NDArray[np.float64]]) -> bool:
    return len(layer.data) == len(shapes) and all(
        now.shape == new.shape and np.allclose(now, new) for now, new in zip(layer.data, shapes, strict=True)
    )


def _changed_properties(layer: Layer, keywords: Mapping[str, Any]) -> list[str]:
    """Return the names of the properties that changed. Feature tables are not compared but always set."""
    return [
        name
        for name in _OF_THE_DATA
        if name in keywords and (name == "features" or not _equal(getattr(layer, name), keywords[name]))
    ]


def _equal(now: Any, new: Any) -> bool:
    if isinstance(new, str):
        return bool(now == new)
    return len(now) == len(new) and all(
        str(one) == str(other) if isinstance(other, str) else bool(one == other)
        for one, other in zip(now, new, strict=True)
    )
