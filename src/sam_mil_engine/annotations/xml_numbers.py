"""Numbers in XML, as programs write them in any country."""

from __future__ import annotations

from math import isfinite, nan
from xml.etree.ElementTree import Element

from .outlines import Reader


def number_of(reader: Reader, node: Element, name: str, element: str) -> float:
    """Return the attribute ``name`` of a node as a number; see :func:`parsed`.

    Raises
    ------
    ShapeError
        If it is not there, or not a number.
    """
    text = node.get(name)
    if text is None:
        raise reader.bad_shape(f"there is no {name}", element=element)
    return parsed(reader, text, element)


def parsed(reader: Reader, text: str, element: str) -> float:
    """Return a number written with a decimal point or, as programs in many countries do, a decimal comma.

    Raises
    ------
    ShapeError
        If it is not a number.
    """
    plain = text.strip()
    if plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        number = float(plain)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise reader.bad_shape(f"{text.strip()!r} is not a number", element=element)
    return number
