"""Images of a slide as multiscale OME-Zarr: 0.5 for napari and neuroglancer, 0.4 for QuPath, which reads Zarr 2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from .files import atomic_folder
from .geometry import Frame

#: Version of the standard: 0.5 is stored as Zarr 3, 0.4 as Zarr 2.
NgffVersion = Literal["0.4", "0.5"]
#: The coarsest level is at most this many pixels wide and high.
_COARSEST = 256
_CHUNK = 512
#: Pixels along the sides of what is painted at once; a multiple of the chunk.
_BLOCK = 2048


class BlockImage(Protocol):
    """An image (height, width) of which only what is read is made, by slices with steps."""

    ndim: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, place: tuple[slice, slice]) -> npt.NDArray[Any]:
        """Return the pixels of these rows and columns."""
        ...


def write_ome_zarr(
    path: Path,
    image: npt.NDArray[Any] | BlockImage,
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
        (height, width), or (channels, height, width) with ``channels`` naming them; labels that are painted where
        they are read are read block by block.
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
        for number, shape in enumerate(_level_shapes(image.shape)):
            chunks = (1,) * (image.ndim - 2) + tuple(min(_CHUNK, max(side, 1)) for side in shape[-2:])
            names = [axis["name"] for axis in axes]
            storage = _zarr_2() if version == "0.4" else {"dimension_names": names}
            array = group.create_array(str(number), shape=shape, dtype=image.dtype, chunks=chunks, **storage)
            _fill(array, image, 2**number)
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


def _level_shapes(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    yield shape
    while max(shape[-2:]) > _COARSEST:
        shape = (*shape[:-2], *(-(-side // 2) for side in shape[-2:]))
        yield shape


def _fill(array: Any, image: npt.NDArray[Any] | BlockImage, step: int) -> None:
    """Write every ``step``-th pixel; labels that are painted where they are read, in blocks."""
    if isinstance(image, np.ndarray):
        array[...] = image[..., ::step, ::step]
        return
    height, width = image.shape
    for top in range(0, height, _BLOCK * step):
        for left in range(0, width, _BLOCK * step):
            block = image[top : top + _BLOCK * step : step, left : left + _BLOCK * step : step]
            if block.any():
                y, x = top // step, left // step
                array[y : y + block.shape[0], x : x + block.shape[1]] = block


def _transform(frame: Frame, factor: int, mpp: tuple[float, float], *, extra: int) -> list[dict[str, object]]:
    """Scale and translation ([c,] y, x) of a level that keeps every ``factor``-th pixel."""
    scale = np.multiply(frame.downsample, mpp) * factor
    translation = np.multiply(frame.to_px0([0.5, 0.5]) - 0.5, mpp)
    return [
        {"type": "scale", "scale": [1.0] * extra + scale[::-1].tolist()},
        {"type": "translation", "translation": [0.0] * extra + translation[::-1].tolist()},
    ]
