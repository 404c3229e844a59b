"""Images of a slide as multiscale OME-Zarr 0.5, which napari, QuPath and neuroglancer open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """Write an image and its halves, quarters and so on, made by leaving pixels out (labels stay labels).

    Pixel centres carry the coordinates, as in napari: level-0 pixel (0, 0) of the slide lies at (0, 0).

    Parameters
    ----------
    path
        The ``.ome.zarr`` folder; an older one is replaced.
    image
        (height, width), or (channels, height, width) with ``channels`` naming them.
    frame
        Where the image lies on the slide.
    mpp
        Micrometres per level-0 pixel (x, y); without it the axes are in level-0 pixels and carry no unit.

    Raises
    ------
    ProjectError
        If the folder cannot be written or the disk is full.
    """
    import zarr

    unit = {"type": "space", "unit": "micrometer"} if mpp else {"type": "space"}
    axes = [{"name": "y", **unit}, {"name": "x", **unit}]
    ome: dict[str, Any] = {"version": "0.5"}
    if channels:
        axes.insert(0, {"name": "c", "type": "channel"})
        ome["omero"] = {"channels": [{"label": channel} for channel in channels]}
    datasets = []
    with atomic_folder(path) as folder:
        group = zarr.open_group(folder, mode="w", zarr_format=3)
        for number, level in enumerate(_levels(image)):
            chunks = (1,) * (level.ndim - 2) + tuple(min(_CHUNK, max(side, 1)) for side in level.shape[-2:])
            names = [axis["name"] for axis in axes]
            group.create_array(str(number), data=level, chunks=chunks, dimension_names=names)
            transforms = _transform(frame, 2**number, mpp or (1.0, 1.0), extra=image.ndim - 2)
            datasets.append({"path": str(number), "coordinateTransformations": transforms})
        ome["multiscales"] = [{"name": name, "axes": axes, "datasets": datasets}]
        group.attrs["ome"] = ome


def _levels(image: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    yield image
    while max(image.shape[-2:]) > _COARSEST:
        image = np.ascontiguousarray(image[..., ::2, ::2])
        yield image


def _transform(frame: Frame, factor: int, mpp: tuple[float, float], *, extra: int) -> list[dict[str, object]]:
    """Scale and translation ([c,] y, x) of a level that keeps every ``factor``-th pixel."""
    scale = np.multiply(frame.downsample, mpp) * factor
    translation = np.multiply(frame.to_px0([0.5, 0.5]) - 0.5, mpp)
    return [
        {"type": "scale", "scale": [1.0] * extra + scale[::-1].tolist()},
        {"type": "translation", "translation": [0.0] * extra + translation[::-1].tolist()},
    ]
