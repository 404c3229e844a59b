"""What OME-Zarr says of an image in its ``multiscales``: axes, levels and resolution, versions 0.1 to 0.5."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SlideError
from .ome import unit_um

if TYPE_CHECKING:
    import zarr

_CONVERT = "Only brightfield images in red, green and blue are slides here; convert it, or choose another image"
#: Colours of the channels of an RGB image, as OMERO writes them.
_RED_GREEN_BLUE = ("FF0000", "00FF00", "0000FF")


@dataclass(frozen=True, slots=True)
class Multiscale:
    """One image.

    Attributes
    ----------
    group
        The group that holds it.
    paths
        Path of the array of every level within the group, finest first.
    axes
        Name of every axis, ``t``, ``c``, ``z``, ``y`` or ``x``, in the order of the arrays.
    mpp
        Micrometres per pixel of the first level (x, y), each None where it is not stated.
    channels
        Label and colour of the channels, where they are stated.
    notes
        What is unusual about it, in sentences.
    """

    group: zarr.Group
    paths: tuple[str, ...]
    axes: tuple[str, ...]
    mpp: tuple[float | None, float | None]
    channels: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def find_image(root: zarr.Group) -> Multiscale:
    """Return the image of a group, or the first one of a group that bioformats2raw wrote.

    Raises
    ------
    SlideError
        If it holds no image, a label image, or the wells of a plate.
    """
    about = _ome(root)
    if "plate" in about or "well" in about:
        raise SlideError("it holds the wells of a plate, not a slide", hint=_CONVERT)
    if "multiscales" in about:
        return _read(root, about)
    series = [name for name in _series(root) if "multiscales" in _ome(root[name])]
    if not series:
        raise SlideError(
            "it holds no image of OME-Zarr (no “multiscales” in its metadata)",
            hint="Open the folder that holds the image itself, or write it as OME-Zarr with bioformats2raw",
        )
    group = root[series[0]]
    more = f"It holds {len(series)} images; the first one, {series[0]!r}, is read."
    return _read(group, _ome(group), notes=(more,) if len(series) > 1 else ())


def _ome(group: zarr.Group) -> Mapping[str, Any]:
    """Metadata of OME: below ``ome`` since version 0.5, else among the attributes."""
    attributes = group.attrs.asdict()
    below = attributes.get("ome")
    return below if isinstance(below, Mapping) else attributes


def _series(root: zarr.Group) -> list[str]:
    """Names of the groups in a group, numbers in their order."""
    names = [name for name, _ in root.groups()]
    return sorted(names, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))


def _read(group: zarr.Group, about: Mapping[str, Any], notes: tuple[str, ...] = ()) -> Multiscale:
    if "image-label" in about:
        raise SlideError("it is a label image, not the image of a slide", hint="Open the slide that it belongs to")
    try:
        multiscale = about["multiscales"][0]
        datasets = multiscale["datasets"]
        paths = tuple(str(dataset["path"]) for dataset in datasets)
        dimensions = group[paths[0]].ndim
        axes, units = _axes(multiscale.get("axes"), dimensions)
        scale = np.multiply(_scale(datasets[0], dimensions), _scale(multiscale, dimensions))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise SlideError(
            f"its metadata is not that of OME-Zarr ({type(error).__name__}: {error})",
            hint="Write it again, for example with bioformats2raw, or copy it again from its source",
        ) from error
    sizes: list[float | None] = []
    for axis in ("x", "y"):
        place = axes.index(axis)
        unit = None if units[place] is None else unit_um(str(units[place]))
        sizes.append(None if unit is None or not math.isfinite(scale[place]) else float(scale[place]) * unit)
    if sizes == [None, None] and not np.allclose([scale[axes.index(axis)] for axis in "xy"], 1):
        notes += (
            f"It states {scale[axes.index('x')]:.6g} per pixel without a unit that is known; the slide is treated"
            " as having no resolution.",
        )
    return Multiscale(
        group=group, paths=paths, axes=axes, mpp=(sizes[0], sizes[1]), channels=_channels(about), notes=notes
    )


def _axes(stated: Any, dimensions: int) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Names and units of the axes; before version 0.3 they are always t, c, z, y, x."""
    if not stated:
        return tuple("tczyx")[5 - dimensions :], (None,) * dimensions
    rows = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in stated]
    names = tuple("c" if row.get("type") == "channel" else str(row["name"]).lower() for row in rows)
    if len(names) != dimensions or not {"x", "y"} <= set(names) <= set("tczyx") or len(set(names)) < len(names):
        raise ValueError(f"axes {', '.join(names)} for an array of {dimensions} dimensions")
    return names, tuple(row.get("unit") for row in rows)


def _scale(described: Mapping[str, Any], dimensions: int) -> list[float]:
    for transformation in described.get("coordinateTransformations") or ():
        if transformation.get("type") == "scale" and isinstance(transformation.get("scale"), Sequence):
            factors = [float(value) for value in transformation["scale"]]
            if len(factors) == dimensions:
                return factors
    return [1.0] * dimensions


def _channels(about: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    omero = about.get("omero")
    listed = omero.get("channels") if isinstance(omero, Mapping) else None
    rows = [row for row in listed or () if isinstance(row, Mapping)]
    return tuple((str(row.get("label", "")), str(row.get("color", "")).lstrip("#").upper()) for row in rows)


def require_brightfield(image: Multiscale, array: Any) -> None:
    """Refuse what is no image in red, green and blue.

    Raises
    ------
    SlideError
        Saying what it is.
    """
    shape = dict(zip(image.axes, array.shape, strict=True))
    kind = np.dtype(array.dtype)
    if kind not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise SlideError(
            f"its pixels are {kind.name}, not 8 or 16 bits: it is a label image or a map, not a slide",
            hint=_CONVERT,
        )
    channels = shape.get("c", 1)
    if channels not in (3, 4):
        named = ", ".join(label for label, _ in image.channels if label)
        said = f"{channels} channel{'s' if channels > 1 else ''}{f' ({named})' if named else ''}"
        raise SlideError(f"it has {said}, not red, green and blue", hint=_CONVERT)
    colours = [colour for _, colour in image.channels[:3]]
    if len(set(colours)) == 3 and all(colours) and tuple(colours) != _RED_GREEN_BLUE:
        named = ", ".join(label or colour for label, colour in image.channels[:3])
        raise SlideError(f"its channels are {named}: fluorescence, not red, green and blue", hint=_CONVERT)
