"""Rings of points -> valid areas, repaired ring by ring; each repair is described in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon
from shapely.validation import explain_validity

from .model import Area, as_area

Points = npt.NDArray[np.float64]
#: Corners of the polygon that stands for an ellipse: its area is right to 0.02 %.
_ELLIPSE_CORNERS = 180
#: Share of a hole that rounding may leave outside its outline.
_ROUNDING = 1e-9


def ring_area(points: Points, told: Callable[[str], None]) -> Area | None:
    """Return the area inside one ring (n, 2), or None where it has none; a ring that crosses itself is repaired.

    Where a ring crosses itself, what it goes around an odd number of times is inside.
    """
    if len(points) < 3:
        return None
    polygon: Area = Polygon(points)
    if not shapely.is_valid(polygon):
        reason = explain_validity(polygon)
        polygon = as_area(shapely.make_valid(polygon))
        if polygon.area > 0:
            told(f"crosses itself ({reason})")
    return polygon if polygon.area > 0 else None


def area_with_holes(outer: Points, holes: Sequence[Points], told: Callable[[str], None]) -> Area | None:
    """Return the area inside an outer ring and outside its holes, or None where nothing is left.

    A hole takes away what it covers of its own outer ring, and never adds anything.
    """
    if len(outer) >= 3 and all(len(hole) >= 3 for hole in holes):
        whole = Polygon(outer, holes)
        if shapely.is_valid(whole) and whole.area > 0 and all(Polygon(hole).area > 0 for hole in whole.interiors):
            return whole
    body = ring_area(outer, told)
    if body is None:
        return None
    taken = []
    for number, points in enumerate(holes):
        hole = ring_area(points, partial(_of_hole, told, number))
        if hole is None:
            told(f"has a hole (number {number}) without an area, which was left out")
            continue
        if shapely.difference(hole, body).area > _ROUNDING * hole.area:
            told(f"has a hole (number {number}) that lies partly or wholly outside it; only the part inside counts")
        taken.append(hole)
    rest = as_area(shapely.difference(body, shapely.union_all(taken))) if taken else body
    return rest if rest.area > 0 else None


def _of_hole(told: Callable[[str], None], number: int, what: str) -> None:
    told(f"has a hole (number {number}) that {what}")


def joined(parts: Sequence[Area], told: Callable[[str], None]) -> Area | None:
    """Return what any of the parts covers; None where there is none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    together = MultiPolygon([polygon for part in parts for polygon in shapely.get_parts(part)])
    if shapely.is_valid(together):
        return together
    told("has overlapping parts; their union was used")
    return as_area(shapely.union_all(list(parts)))


def box_points(corners: Points) -> Points:
    """Return the four corners of the rectangle with two opposite ``corners`` (2, 2)."""
    (x0, y0), (x1, y1) = corners
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def ellipse_points(corners: Points) -> Points:
    """Return points of the ellipse in the rectangle with two opposite ``corners`` (2, 2)."""
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points: Points = corners.mean(axis=0) + circle * np.abs(np.diff(corners, axis=0)) / 2
    return points


def turned(points: Points, angle: float) -> Points:
    """Return points (n, 2) turned about the middle of their box by ``angle``, radians from x towards y."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    sine, cosine = np.sin(angle), np.cos(angle)
    turn: Points = (points - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle
    return turn
