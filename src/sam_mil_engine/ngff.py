"""Pictures on a slide as multiscale OME-Zarr 0.5, which napari, QuPath and neuroglancer open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .files import atomic_folder
from .geometry import Frame

#: The coarsest level is at most this many pixels wide and high.
_COARSEST = 256
_CHUNK = 512


def write_ome_zarr(
    path: Path,
    image: npt.NDArray[Any],
    *,
    frame: Frame,
    mpp: tuple[float, float] | None,
    name: str,
    channels: Sequence[str] = (),
) -> None:
    """Write a picture and its halves, quarters and so on, made by leaving pixels out (labels stay labels).

    Pixel centres carry the coordinates, as in napari: level-0 pixel (0, 0) of the slide lies at (0, 0).

    Parameters
    ----------
    path
        The ``.ome.zarr`` folder; an older one is replaced.
    image
        (height, width), or (channels, height, width) with ``channels`` naming them.
    frame
        Where the picture lies on the slide.
    mpp
        Micrometres a level-0 pixel (x, y); without it the axes are in level-0 pixels and carry no unit.

    Raises
    ------
    ProjectError
        If the folder cannot be written or the disk is full.
    """
    import zarr
    from ome_zarr.format import FormatV05
    from ome_zarr.writer import write_multiscale

    levels = [image]
    while max(levels[-1].shape[-2:]) > _COARSEST:
        levels.append(levels[-1][..., ::2, ::2])
    unit = {"type": "space", "unit": "micrometer"} if mpp else {"type": "space"}
    axes = [{"name": "y", **unit}, {"name": "x", **unit}]
    metadata: dict[str, Any] = {}
    if channels:
        axes.insert(0, {"name": "c", "type": "channel"})
        metadata["metadata"] = {"omero": {"channels": [{"label": channel} for channel in channels]}}
    chunks = (1,) * (image.ndim - 2) + tuple(min(_CHUNK, max(side, 1)) for side in image.shape[-2:])
    with atomic_folder(path) as folder:
        write_multiscale(
            levels,
            zarr.open_group(folder, mode="w", zarr_format=3),
            fmt=FormatV05(),
            axes=axes,
            coordinate_transformations=[
                _transform(frame, 2**number, mpp or (1.0, 1.0), extra=image.ndim - 2)
                for number in range(len(levels))
            ],
            storage_options={"chunks": chunks},
            name=name,
            **metadata,
        )


def _transform(frame: Frame, factor: int, mpp: tuple[float, float], *, extra: int) -> list[dict[str, object]]:
    """Scale and translation ([c,] y, x) of a level that keeps every ``factor``-th pixel."""
    scale = np.multiply(frame.downsample, mpp) * factor
    translation = np.multiply(frame.to_px0([0.5, 0.5]) - 0.5, mpp)
    return [
        {"type": "scale", "scale": [1.0] * extra + scale[::-1].tolist()},
        {"type": "translation", "translation": [0.0] * extra + translation[::-1].tolist()},
    ]
