"""Where the data of a layer lie in the world, including the user's moves, scales and rotations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


def data_to_world(points: npt.ArrayLike, meta: Mapping[str, Any]) -> Points:
    """Convert points of a layer (n, ndim) to world points (n, 2), as (row, column).

    Parameters
    ----------
    points
        In the coordinates of the layer's data, the last two axes row and column.
    meta
        The layer's ``scale`` and ``translate``, and ``rotate``, ``shear`` and ``affine`` if it has them, as
        ``as_layer_data_tuple`` returns them.
    """
    from napari.utils.transforms import Affine, CompositeAffine

    given = {name: meta[name] for name in ("rotate", "shear") if meta.get(name) is not None}
    own = CompositeAffine(meta["scale"], meta["translate"], **given)
    row_and_column = [own.ndim - 2, own.ndim - 1]
    world = own.set_slice(row_and_column)(np.asarray(points, dtype=np.float64)[:, -2:])
    affine = meta.get("affine")
    if affine is not None:
        world = Affine(affine_matrix=np.asarray(affine), ndim=own.ndim).set_slice(row_and_column)(world)
    return np.asarray(world, dtype=np.float64).reshape(-1, 2)
