"""ASAP XML, the format of the CAMELYON challenges.

An annotation belongs to a group, a group may belong to another. The areas of exclusion groups are taken out of the
outlines around them: ``_2`` in CAMELYON16, ``normal`` in CAMELYON17, ``Exclusion`` in other data.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

import numpy as np

from .outlines import Reader
from .rings import Points
from .xml_numbers import number_of

#: Names of groups whose areas are taken away (CAMELYON16's description of its annotations; ASAP users' habit).
EXCLUSION_GROUPS = frozenset({"_2", "exclusion"})
#: CAMELYON17's exclusion group. Elsewhere it may be a class, so it excludes only where the file has other outlines.
CAMELYON17_EXCLUSION = "normal"
#: What the groups of CAMELYON16 (numbered) and of CAMELYON17 mean.
CAMELYON_CLASSES = {"_0": "Tumor", "_1": "Tumor", "metastases": "Tumor"}
_CLOSED = frozenset({"Polygon", "Spline", "Rectangle"})
_NO_GROUP = frozenset({"", "None"})


def read(reader: Reader, root: Element) -> None:
    """Add the polygons below ``<ASAP_Annotations>``; the points stand in the order that ``Order`` says.

    A spline is taken as the polygon of its points. Dots and point sets are noted and left out.
    """
    parents = _group_parents(reader, root)
    nodes = root.findall("./Annotations/Annotation")
    lineages = [_lineage(reader, node.get("PartOfGroup", "None"), parents) for node in nodes]
    excluding = _exclusions(lineages)
    excluded = []
    for number, (node, lineage) in enumerate(zip(nodes, lineages, strict=True)):
        name = node.get("Name") or f"Annotation {number}"
        element = f"Annotation {name!r} (number {number})"
        kind = node.get("Type", "")
        if kind not in _CLOSED:
            reader.skip(kind or "shape without a type", element=element)
            continue
        with reader.each_shape():
            area = reader.area(_points(reader, node, element), element=element)
            if excluding.intersection(name.lower() for name in lineage):
                excluded.append(area)
            else:
                group = node.get("PartOfGroup", "None")
                reader.add(name, None if group in _NO_GROUP else CAMELYON_CLASSES.get(group, group), area)
    reader.cut(excluded)


def _exclusions(lineages: list[list[str]]) -> frozenset[str]:
    """Return the names of the groups that exclude in this file."""
    every = EXCLUSION_GROUPS | {CAMELYON17_EXCLUSION}
    outlined = any(every.isdisjoint(name.lower() for name in lineage) for lineage in lineages)
    return every if outlined else EXCLUSION_GROUPS


def _points(reader: Reader, node: Element, element: str) -> Points:
    rows = []
    for number, point in enumerate(node.iterfind("./Coordinates/Coordinate")):
        where = f"{element}: coordinate {number}"
        rows.append([number_of(reader, point, name, where) for name in ("Order", "X", "Y")])
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
