"""What an OME-XML header says of an image."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

#: Micrometres of the units of length that microscopes write.
_UNITS_UM = {
    "nm": 1e-3,
    "µm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "μm": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "pm": 1e-6,
    "in": 25_400.0,
    "inch": 25_400.0,
    # as OME-Zarr writes them
    "picometer": 1e-6,
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}


def ome_facts(xml: str, size_px0: tuple[int, int]) -> tuple[float | None, float | None, float | None]:
    """Read micrometres per pixel (x, y) and the objective's magnification of the image of that size.

    Each is None where the header does not say, or cannot be parsed.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(xml)
    except (ParseError, DefusedXmlException):
        return None, None, None
    images = [pixels for pixels in root.iter() if _name(pixels) == "Pixels"]
    width, height = (str(side) for side in size_px0)
    fitting = [one for one in images if one.get("SizeX") == width and one.get("SizeY") == height]
    chosen = (fitting or images or [Element("Pixels")])[0]
    powers = [one.get("NominalMagnification") for one in root.iter() if _name(one) == "Objective"]
    return _size_um(chosen, "X"), _size_um(chosen, "Y"), number_of(powers[0]) if len(powers) == 1 else None


def unit_um(name: str) -> float | None:
    """Return the micrometres of a unit of length, as OME and ImageJ write it; None for any other text."""
    name = (name.encode().decode("unicode_escape") if "\\u" in name else name).strip()
    return _UNITS_UM.get(name, _UNITS_UM.get(name.lower()))


def missing_files(xml: str, folder: Path) -> list[str]:
    """Names of the files that hold parts of the image and are not in ``folder``, each once."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(xml)
    except (ParseError, DefusedXmlException):
        return []
    named = dict.fromkeys(one.get("FileName") for one in root.iter() if _name(one) == "UUID")
    return [name for name in named if name and not (folder / name).is_file()]


def number_of(text: str | None) -> float | None:
    """Read a number; None where there is none."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _name(element: Element) -> str:
    return str(element.tag).rsplit("}", maxsplit=1)[-1]


def _size_um(pixels: Element, axis: str) -> float | None:
    value = number_of(pixels.get(f"PhysicalSize{axis}"))
    unit = unit_um(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    return None if value is None or unit is None else value * unit
