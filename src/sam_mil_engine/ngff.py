"""Images of a slide as multiscale OME-Zarr: 0.5 for napari and neuroglancer, 0.4 for QuPath, which reads Zarr 2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .files import atomic_folder
from .geometry import Frame

#: Version of the standard: 0.5 is stored as Zarr 3, 0.4 as Zarr 2.
NgffVersion = Literal["0.4", "0.5"]
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
    version: NgffVersion = "0.5",
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
    version
        Of the standard.

    Raises
    ------
    ProjectError
        If the folder cannot be written or the disk is full.
    """
    import zarr

    unit = {"type": "space", "unit": "micrometer"} if mpp else {"type": "space"}
    axes = [{"name": "y", **unit}, {"name": "x", **unit}]
    ome: dict[str, Any] = {}
    if channels:
        axes.insert(0, {"name": "c", "type": "channel"})
        ome["omero"] = {"channels": [{"label": channel} for channel in channels]}
    datasets = []
    with atomic_folder(path) as folder:
        group = zarr.open_group(folder, mode="w", zarr_format=2 if version == "0.4" else 3)
        for number, level in enumerate(_levels(image)):
            chunks = (1,) * (level.ndim - 2) + tuple(min(_CHUNK, max(side, 1)) for side in level.shape[-2:])
            names = [axis["name"] for axis in axes]
            storage = _zarr_2() if version == "0.4" else {"dimension_names": names}
            group.create_array(str(number), data=level, chunks=chunks, **storage)
            transforms = _transform(frame, 2**number, mpp or (1.0, 1.0), extra=image.ndim - 2)
            datasets.append({"path": str(number), "coordinateTransformations": transforms})
        multiscale: dict[str, Any] = {"name": name, "axes": axes, "datasets": datasets}
        if version == "0.4":
            group.attrs.update({"multiscales": [{"version": version, **multiscale}], **ome})
        else:
            group.attrs["ome"] = {"version": version, **ome, "multiscales": [multiscale]}


def _zarr_2() -> dict[str, Any]:
    """Return how version 0.4 stores chunks: in nested folders, by a compressor that QuPath's reader knows."""
    from numcodecs import Blosc

    return {
        "chunk_key_encoding": {"name": "v2", "separator": "/"},
        "compressors": Blosc(cname="lz4", clevel=5, shuffle=Blosc.SHUFFLE),
    }


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
