"""Segments as a multiscale label image (OME-Zarr 0.5), which napari, QuPath and neuroglancer open."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files import atomic_folder
from .segments import Segments

#: The coarsest level is at most this many pixels wide and high.
_COARSEST = 256
_CHUNK = 512


def write_label_image(path: Path, segments: Segments, *, mpp: tuple[float, float] | None) -> None:
    """Write the label image of ``segments``: label k + 1 is mask k, small masks over large ones.

    Pixel centres carry the coordinates, as in napari: level-0 pixel (0, 0) of the slide lies at (0, 0).

    Parameters
    ----------
    path
        The ``.ome.zarr`` folder; an older one is replaced.
    segments
        The masks.
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

    levels = [segments.label_image()]
    while max(levels[-1].shape) > _COARSEST:
        levels.append(levels[-1][::2, ::2])
    unit = {"type": "space", "unit": "micrometer"} if mpp else {"type": "space"}
    with atomic_folder(path) as folder:
        write_multiscale(
            levels,
            zarr.open_group(folder, mode="w", zarr_format=3),
            fmt=FormatV05(),
            axes=[{"name": "y", **unit}, {"name": "x", **unit}],
            coordinate_transformations=[
                _transform(segments, 2**number, mpp or (1.0, 1.0)) for number in range(len(levels))
            ],
            storage_options={"chunks": tuple(min(_CHUNK, max(side, 1)) for side in levels[0].shape)},
            name="SAM segments",
        )


def _transform(segments: Segments, factor: int, mpp: tuple[float, float]) -> list[dict[str, object]]:
    """Scale and translation (y, x) of a level that keeps every ``factor``-th pixel of the label image."""
    pixel = segments.frame.to_px0([0.5, 0.5]) - 0.5
    scale = np.multiply(segments.frame.downsample, mpp) * factor
    translation = np.multiply(pixel, mpp)
    return [
        {"type": "scale", "scale": [float(value) for value in scale[::-1]]},
        {"type": "translation", "translation": [float(value) for value in translation[::-1]]},
    ]
