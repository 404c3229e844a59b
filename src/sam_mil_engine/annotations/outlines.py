"""What every annotation format shares: one file's annotations, and the record of what was left out or repaired."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely

from ..errors import AnnotationError
from ..slide.place import SlidePlace
from .model import Annotation, Area, as_area
from .rings import Points, area_with_holes, joined

logger = logging.getLogger(__name__)

_HINT = "Correct the annotation in the program that made it and export it again"
_NO_AREA = "outline without an area"
_NOT_NUMBERS = "shape with coordinates that are not numbers"
#: Start of the kind of a shape that lies on another plane of the slide than the one that is read.
_OTHER_PLANE = "shape on plane "
#: Share of an island that may lie outside its hole: people draw a little over the edge.
_ISLAND_SLACK = 0.1


class ShapeError(AnnotationError):
    """One shape of a file cannot be read; the others can."""


def shapes_summary(left_out: Mapping[str, int], repaired: int = 0) -> str:
    """Say what was left out of a file and what was repaired, without a full stop; empty where nothing was."""
    parts = []
    if left_out:
        parts.append(f"{_counted(sum(left_out.values()), 'shape')} left out ({_kinds(left_out)})")
    if repaired:
        parts.append(f"{_counted(repaired, 'outline')} repaired")
    return " and ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun} was" if count == 1 else f"{count:,} {noun}s were"


def _kinds(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} × {kind}" for kind, count in sorted(left_out.items()))


@dataclass(slots=True)
class Reader:
    """Collects the annotations of one file, and remembers what was left out or repaired.

    Attributes
    ----------
    path
        The file that is read; named in every error and warning.
    place
        Where the coordinates of the file's program lie on the slide; None where the slide is not at hand.
    annotations
        What was read so far.
    left_out
        Number of shapes that were left out, by their kind.
    repaired
        Number of repairs.
    notes
        One sentence for each shape that was left out or repaired.
    plane
        Plane (z, t) of the slide that is read.
    """

    path: Path
    place: SlidePlace | None = None
    annotations: list[Annotation] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    repaired: int = 0
    notes: list[str] = field(default_factory=list)
    plane: tuple[int, int] = (0, 0)
    _unreadable: ShapeError | None = None

    def error(self, reason: str, *, element: str = "", hint: str | None = _HINT) -> AnnotationError:
        """Make the error that says: in this file, this element, for this reason."""
        return AnnotationError(f"{element}: {reason}" if element else reason, where=self.path, hint=hint)

    def bad_shape(self, reason: str, *, element: str) -> ShapeError:
        """Make the error of one shape; inside :meth:`each_shape`, that shape alone is left out."""
        return ShapeError(f"{element}: {reason}", where=self.path, hint=_HINT)

    @contextmanager
    def each_shape(self) -> Iterator[None]:
        """Leave out, name and count a shape whose coordinates are not numbers."""
        try:
            yield
        except ShapeError as error:
            self._unreadable = self._unreadable or error
            self.left_out[_NOT_NUMBERS] += 1
            self.note(f"{error.what}; the shape was left out")

    def elsewhere(self, plane: tuple[int, int], *, element: str) -> None:
        """Leave out a shape that lies on another plane (z, t)."""
        self.left_out[f"{_OTHER_PLANE}{plane_name(plane)}"] += 1
        self.note(f"{element} lies on plane {plane_name(plane)}, not {plane_name(self.plane)}; it was left out")

    def note(self, sentence: str) -> None:
        """Remember what a person should know of the file, and say it in the log."""
        self.notes.append(sentence)
        logger.warning("%s: %s", self.path, sentence)

    def skip(self, kind: str, *, element: str) -> None:
        """Leave out a shape without an area: a point, a line, a ruler, an accidental click."""
        self.left_out[kind] += 1
        self.note(f"{element} has no area ({kind}); it was left out")

    def repair(self, element: str, what: str) -> None:
        """Remember that a shape was repaired, and why."""
        self.repaired += 1
        self.note(f"{element} {what}; it was repaired")

    def points(self, points: object, *, element: str) -> Points:
        """Return one ring (n, 2) as float64, without the repeated last point; it may have no area.

        Raises
        ------
        ShapeError
            For anything but a list of pairs of finite numbers; None counts as an empty list.
        """
        if points is None:
            return np.empty((0, 2))
        try:
            ring = np.asarray(points, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise self.bad_shape("the coordinates are not pairs of numbers", element=element) from error
        if ring.size == 0:
            return np.empty((0, 2))
        if ring.ndim != 2 or ring.shape[1] not in (2, 3):
            raise self.bad_shape(f"the coordinates have shape {ring.shape}, not (points, 2)", element=element)
        ring = ring[:, :2]
        if not np.isfinite(ring).all():
            raise self.bad_shape("a coordinate is not a finite number", element=element)
        return ring[:-1] if len(ring) > 1 and (ring[0] == ring[-1]).all() else ring

    def area(self, outer: object, holes: Sequence[object] = (), *, element: str) -> Area | None:
        """Make a valid area of rings; None, and a note, where it has no area. What is repaired is noted too.

        Raises
        ------
        ShapeError
            If coordinates are not numbers.
        """
        area = area_with_holes(
            self.points(outer, element=element),
            [self.points(hole, element=f"{element}, hole {number}") for number, hole in enumerate(holes)],
            lambda what: self.repair(element, what),
        )
        if area is None:
            self.skip(_NO_AREA, element=element)
        return area

    def union(self, parts: Sequence[Area | None], *, element: str) -> Area | None:
        """Return what any of the parts of one shape covers; None where no part has an area."""
        return joined([part for part in parts if part is not None], lambda what: self.repair(element, what))

    def add(self, name: str, classification: str | None, area: Area | None, *, placed: bool = True) -> None:
        """Take one annotation; one without an area was left out before."""
        if area is not None:
            self.annotations.append(
                Annotation(name=name, classification=classification, polygon=area, placed=placed)
            )

    def cut(self, excluded: Sequence[Area | None], *, start: int = 0) -> None:
        """Subtract areas from the annotations from number ``start`` on.

        An excluded area is taken out of the outlines around it. An outline that lies in an excluded area is an
        island there and stays, if it also lies in another outline; else the whole outline is excluded. An excluded
        area that meets no outline is counted and noted.
        """
        areas = [area for area in excluded if area is not None]
        if not areas:
            return
        outlines = self.annotations[start:]
        if not outlines:
            self._unused(len(areas))
            return
        del self.annotations[start:]
        taken: list[list[Area]] = [[] for _ in outlines]
        unused = 0
        tree = shapely.STRtree([annotation.polygon for annotation in outlines])
        for area in areas:
            near = [int(number) for number in tree.query(area, predicate="intersects")]
            inside = [number for number in near if _mostly_in(outlines[number].polygon, area)]
            around = [number for number in near if number not in inside]
            islands = [number for number in inside if _lies_in(number, around, outlines)]
            for number in set(near).difference(islands):
                taken[number].append(area)
            unused += not near
        if unused:
            self._unused(unused)
        for annotation, gone in zip(outlines, taken, strict=True):
            rest = as_area(shapely.difference(annotation.polygon, shapely.union_all(gone))) if gone else None
            if rest is None:
                self.annotations.append(annotation)
            elif rest.area > 0:
                self.add(annotation.name, annotation.classification, rest, placed=annotation.placed)
            else:
                self.left_out["fully excluded outline"] += 1
                self.note(f"nothing of {annotation.name} is left without the excluded area; it was left out")

    def _unused(self, count: int) -> None:
        """Note excluded areas that have no outline around them."""
        self.left_out["excluded area outside every outline"] += count
        self.note(f"excluded areas outside every outline: {count}; they were left out")

    def finish(self) -> list[Annotation]:
        """Return the annotations; an error if there were shapes in the file and none had an area."""
        if self.left_out and not self.annotations:
            found = f"it holds no polygon, only {_kinds(self.left_out)}"
            if self._unreadable is not None:
                raise self.error(f"{found}. {self._unreadable.what}")
            planes = all(kind.startswith(_OTHER_PLANE) for kind in self.left_out)
            hint = "Read the plane that they lie on" if planes else "Draw closed outlines around areas"
            raise self.error(found, hint=hint)
        if not self.annotations:
            logger.warning("%s: there is no annotation in it", self.path)
        return self.annotations


def plane_name(plane: tuple[int, int]) -> str:
    """Name a plane (z, t) for the user: ``z=2, t=0``."""
    return f"z={plane[0]}, t={plane[1]}"


def _lies_in(number: int, others: Sequence[int], outlines: Sequence[Annotation]) -> bool:
    return any(_mostly_in(outlines[number].polygon, outlines[other].polygon) for other in others)


def _mostly_in(outline: Area, area: Area) -> bool:
    return bool(shapely.difference(outline, area).area <= _ISLAND_SLACK * outline.area)
