"""ASAP XML, the format of the CAMELYON challenges.

An annotation belongs to a group, a group may belong to another. The areas of exclusion groups (``_2`` in
CAMELYON16, ``Exclusion`` in other data) are subtracted from all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

import numpy as np

from .outlines import Reader

#: Names of groups whose areas are taken away (CAMELYON16's description of its annotations; ASAP users' habit).
EXCLUSION_GROUPS = frozenset({"_2", "exclusion"})
#: What CAMELYON16's numbered groups mean.
CAMELYON_CLASSES = {"_0": "Tumor", "_1": "Tumor"}
_CLOSED = frozenset({"Polygon", "Spline", "Rectangle"})
_NO_GROUP = frozenset({"", "None"})


def read(reader: Reader, root: Element) -> None:
    """Add the polygons below ``<ASAP_Annotations>``; the points stand in the order that ``Order`` says.

    A spline is taken as the polygon of its points. Dots and point sets are reported and left out.
    """
    parents = _group_parents(reader, root)
    excluded = []
    for number, node in enumerate(root.iterfind("./Annotations/Annotation")):
        name = node.get("Name") or f"Annotation {number}"
        element = f"Annotation {name!r} (number {number})"
        kind = node.get("Type", "")
        if kind not in _CLOSED:
            reader.skip(kind or "shape without a type", element=element)
            continue
        area = reader.area(_points(reader, node, element), element=element)
        group = node.get("PartOfGroup", "None")
        if any(ancestor.lower() in EXCLUSION_GROUPS for ancestor in _lineage(reader, group, parents)):
            excluded.append(area)
        else:
            reader.add(name, None if group in _NO_GROUP else CAMELYON_CLASSES.get(group, group), area)
    reader.cut(excluded)


def _points(reader: Reader, node: Element, element: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rows = []
    for number, point in enumerate(node.iterfind("./Coordinates/Coordinate")):
        try:
            rows.append((float(point.attrib["Order"]), float(point.attrib["X"]), float(point.attrib["Y"])))
        except KeyError as error:
            raise reader.error(f"coordinate {number} has no {error.args[0]}", element=element) from error
        except ValueError as error:
            raise reader.error(f"coordinate {number} is not a number ({error})", element=element) from error
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return table[np.argsort(table[:, 0], kind="stable"), 1:]


def _group_parents(reader: Reader, root: Element) -> dict[str, str]:
    parents: dict[str, str] = {}
    for number, node in enumerate(root.iterfind("./AnnotationGroups/Group")):
        name = node.get("Name")
        if not name:
            raise reader.error("the group has no name", element=f"Group {number}")
        parents[name] = node.get("PartOfGroup", "None")
    return parents


def _lineage(reader: Reader, group: str, parents: Mapping[str, str]) -> list[str]:
    """Name the group, the group it is in, and so on."""
    found: list[str] = []
    while group not in _NO_GROUP:
        if group in found:
            raise reader.error(
                f"the group contains itself ({' in '.join([*found, group])})", element=f"Group {group!r}"
            )
        found.append(group)
        group = parents.get(group, "None")
    return found
