"""The one model of an annotation: a name, a class, and an area in a frame that it knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import shapely
from shapely import MultiPolygon, Polygon

from ..errors import AnnotationError

Area: TypeAlias = Polygon | MultiPolygon


@dataclass(frozen=True, slots=True)
class Annotation:
    """An area that a person outlined.

    Attributes
    ----------
    name
        What the file calls this one outline; made from its position where the file gives no name.
    classification
        The class it is an example of (``Tumor``), or None.
    polygon
        Valid polygon or polygons, with holes.
    placed
        True: ``polygon`` is in level-0 pixels of the slide's file (``_px0``). False: it is as its own file counts,
        which was read without the slide; nothing compares or writes it then.
    """

    name: str
    classification: str | None
    polygon: Area
    placed: bool = True


def require_placed(annotations: Iterable[Annotation]) -> None:
    """Refuse annotations that were read without their slide.

    Raises
    ------
    AnnotationError
        Naming the first of them.
    """
    for annotation in annotations:
        if not annotation.placed:
            raise AnnotationError(
                f"the outline {annotation.name!r} was read without its slide, so its position is not known",
                hint="Read the file again with info=, the slide's information",
            )


def by_class(annotations: Iterable[Annotation]) -> dict[str | None, list[Annotation]]:
    """Sort annotations by their class, in the order in which the classes first appear."""
    classes: dict[str | None, list[Annotation]] = {}
    for annotation in annotations:
        classes.setdefault(annotation.classification, []).append(annotation)
    return classes


def union_px0(annotations: Sequence[Annotation]) -> Area:
    """Return the area that any of the annotations covers; an empty polygon where there are none.

    Raises
    ------
    AnnotationError
        If one of them was read without its slide.
    """
    require_placed(annotations)
    return as_area(shapely.union_all([annotation.polygon for annotation in annotations]))


def polygons_of(geometry: shapely.Geometry) -> list[Polygon]:
    """Return the polygons with an area in any geometry; lines and points that a repair leaves are dropped."""
    parts = shapely.get_parts(shapely.get_parts(shapely.get_parts(geometry)))
    return [part for part in parts if isinstance(part, Polygon) and part.area > 0]


def as_area(geometry: shapely.Geometry) -> Area:
    """Return one polygon as a Polygon, none or several as a MultiPolygon."""
    parts = polygons_of(geometry)
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)
