"""The size of a pixel and the objective's power, from whatever a TIFF file states them in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .ome import number_of, ome_facts, unit_um

if TYPE_CHECKING:
    import tifffile

#: TIFF's numbers of the units of resolution, in micrometres.
_TAG_UNITS_UM = {2: 25_400.0, 3: 10_000.0}

#: Micrometres per pixel along x, along y, and the objective's magnification; each None where it is not stated.
Stated = tuple[float | None, float | None, float | None]


def stated_resolution(file: tifffile.TiffFile, page: tifffile.TiffPage, size_px0: tuple[int, int]) -> Stated:
    """Read the size of a pixel where the program that wrote the file put it.

    OME-TIFF has it in its XML, Aperio in the description, ImageJ as pixels per its own unit, others in TIFF's tags.

    Parameters
    ----------
    file
        The open file.
    page
        The directory of the slide in full resolution.
    size_px0
        Width and height of the slide in pixels.
    """
    if file.is_ome and file.ome_metadata:
        return ome_facts(file.ome_metadata, size_px0)
    if page.is_svs:
        return _aperio(page.description)
    unit = _TAG_UNITS_UM.get(int(page.resolutionunit))
    if file.is_imagej:
        unit = unit_um(str((file.imagej_metadata or {}).get("unit", ""))) or unit
    if unit is None:
        return None, None, None
    x, y = (_per_pixel(page, tag, unit) for tag in ("XResolution", "YResolution"))
    return x, y, None


def _per_pixel(page: tifffile.TiffPage, tag: str, unit: float) -> float | None:
    """Turn pixels per unit into micrometres per pixel; None where the tag is missing or states nothing usable."""
    value = page.tags.valueof(tag)
    if value is None:
        return None
    pixels, units = (value if isinstance(value, tuple) else (value, 1))[:2]
    if not (pixels and units) or not math.isfinite(pixels / units) or pixels / units <= 0:
        return None
    return float(unit * units / pixels)


def _aperio(description: str) -> Stated:
    entries = {}
    for part in description.split("|")[1:]:
        name, _, value = part.partition("=")
        entries[name.strip()] = value.strip()
    mpp = number_of(entries.get("MPP"))
    return mpp, mpp, number_of(entries.get("AppMag"))
