"""Checks and repairs that every annotation format shares, and the record of what was left out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon
from shapely.validation import explain_validity

from ..errors import AnnotationError
from .model import Annotation, as_area

logger = logging.getLogger(__name__)

_HINT = "Correct the annotation in the program that made it and export it again"
#: Corners of the polygon that stands for an ellipse: its area is right to 0.02 %.
_ELLIPSE_CORNERS = 180


@dataclass(slots=True)
class Reader:
    """Collects the annotations of one file and remembers what could not become a polygon.

    Attributes
    ----------
    path
        The file that is read; named in every error and warning.
    annotations
        What was read so far.
    skipped
        Number of shapes without an area, by their kind.
    """

    path: Path
    annotations: list[Annotation] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def error(self, reason: str, *, element: str = "", hint: str | None = _HINT) -> AnnotationError:
        """Make the error that says: in this file, this element, for this reason."""
        return AnnotationError(f"{element}: {reason}" if element else reason, where=self.path, hint=hint)

    def skip(self, kind: str, *, element: str) -> None:
        """Leave out a shape without an area (a point, a line, a ruler), and say so in the log."""
        self.skipped[kind] += 1
        logger.warning("%s: %s is a %s and has no area; it was left out", self.path, element, kind)

    def ring(self, points: object, *, element: str) -> npt.NDArray[np.float64]:
        """Check one outline (n, 2), n >= 3, and return it as float64 without the repeated last point.

        Raises
        ------
        AnnotationError
            For anything but a list of pairs of finite numbers, and for fewer than three different points.
        """
        try:
            ring = np.asarray(points, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise self.error("the coordinates are not pairs of numbers", element=element) from error
        if ring.ndim != 2 or ring.shape[1] not in (2, 3):
            raise self.error(f"the coordinates have shape {ring.shape}, not (points, 2)", element=element)
        ring = ring[:, :2]
        if not np.isfinite(ring).all():
            raise self.error("a coordinate is not a finite number", element=element)
        if len(ring) > 1 and (ring[0] == ring[-1]).all():
            ring = ring[:-1]
        if len(np.unique(ring, axis=0)) < 3:
            raise self.error(f"an outline needs three different points, this has {len(ring)}", element=element)
        return ring

    def area(self, outer: object, holes: Iterable[object] = (), *, element: str) -> Polygon | MultiPolygon:
        """Make a valid area of rings; crossings are repaired (even-odd) and reported in the log."""
        polygon = Polygon(
            self.ring(outer, element=element),
            [self.ring(hole, element=f"{element}, hole {number}") for number, hole in enumerate(holes)],
        )
        return self.valid(polygon, element=element)

    def valid(self, polygon: Polygon | MultiPolygon, *, element: str) -> Polygon | MultiPolygon:
        """Repair an area that crosses itself, with a warning in the log that names it."""
        if not shapely.is_valid(polygon):
            reason = explain_validity(polygon)
            polygon = as_area(shapely.make_valid(polygon))
            logger.warning("%s: %s crosses itself (%s); it was repaired", self.path, element, reason)
        if not polygon.area > 0:
            raise self.error("the outline encloses no area", element=element)
        return polygon

    def add(self, name: str, classification: str | None, area: Polygon | MultiPolygon) -> None:
        """Take one annotation."""
        self.annotations.append(Annotation(name, classification, area))

    def cut(self, holes: Sequence[Polygon | MultiPolygon], *, start: int = 0) -> None:
        """Subtract areas from the annotations from number ``start`` on; what has no area left goes, logged."""
        if not holes:
            return
        union, touched = shapely.union_all(list(holes)), self.annotations[start:]
        if not touched:
            self.skipped["excluded area"] += len(holes)
            logger.warning("%s: %d excluded areas have no outline to lie in", self.path, len(holes))
        del self.annotations[start:]
        for annotation in touched:
            rest = as_area(shapely.difference(annotation.polygon, union))
            if rest.area > 0:
                self.add(annotation.name, annotation.classification, rest)
            else:
                self.skipped["fully excluded outline"] += 1
                logger.warning("%s: nothing of %s is left without the excluded area", self.path, annotation.name)

    def finish(self) -> list[Annotation]:
        """Return the annotations; an error if there were shapes in the file and none had an area."""
        if self.skipped and not self.annotations:
            kinds = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.skipped.items()))
            raise self.error(f"there is no polygon in it, only {kinds}", hint="Draw closed outlines around areas")
        if not self.annotations:
            logger.warning("%s: there is no annotation in it", self.path)
        return self.annotations


def box_points(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the four corners of the rectangle with two opposite ``corners`` (2, 2)."""
    (x0, y0), (x1, y1) = corners
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def ellipse_points(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return points of the ellipse in the rectangle with two opposite ``corners`` (2, 2)."""
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points: npt.NDArray[np.float64] = corners.mean(axis=0) + circle * np.abs(np.diff(corners, axis=0)) / 2
    return points
