"""Small slides as OME-Zarr, of every version and order of axes."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

RED_GREEN_BLUE = ("FF0000", "00FF00", "0000FF")
UNITS = {"x": "micrometer", "y": "micrometer", "z": "micrometer", "t": "second"}


def write_zarr(
    path: Path,
    rgb: npt.NDArray[Any],
    *,
    version: str = "0.5",
    axes: str = "cyx",
    scale: float = 0.5,
    unit: str | None = "micrometer",
    levels: int = 2,
    chunk: int = 32,
    about: dict[str, Any] | None = None,
) -> Path:
    """Write (height, width, channels) with its halves; axes that it lacks have one place."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    datasets = []
    for number in range(levels):
        level = rgb[:: 2**number, :: 2**number]
        array = level.transpose(["yxc".index(axis) for axis in axes if axis in "yxc"])
        for place, axis in enumerate(axes):
            if axis not in "yxc":
                array = np.expand_dims(array, place)
        chunks = tuple(
            min(chunk, side) if axis in "yx" else side for axis, side in zip(axes, array.shape, strict=True)
        )
        group.create_array(str(number), data=np.ascontiguousarray(array), chunks=chunks)
        factors = [scale * 2**number if axis in "yx" else 1.0 for axis in axes]
        datasets.append({"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": factors}]})
    units = {**UNITS, "x": unit, "y": unit}
    described = [
        {"name": axis, "type": "channel"}
        if axis == "c"
        else {"name": axis, "type": "time" if axis == "t" else "space"}
        | ({"unit": units[axis]} if units[axis] is not None else {})
        for axis in axes
    ]
    multiscales = [{"version": version, "axes": described, "datasets": datasets, "name": "slide"}]
    ome = {"multiscales": multiscales, **(about or {})}
    group.attrs.update({"ome": {"version": version, **ome}} if version == "0.5" else ome)
    return path


def zipped(folder: Path, path: Path, *, top: str = "") -> Path:
    """Put a folder of Zarr into a ZIP file, at its top or below a folder in it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{top}{file.relative_to(folder).as_posix()}")
    return path
