"""Segments and patches against the outlines of a slide: what the Annotations dock computes. No Qt, no napari."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sam_mil_engine.errors import AnnotationError, DataError
from sam_mil_engine.progress import Progress, ProgressCallback, silent

from .segment_table import shown_class

if TYPE_CHECKING:
    from sam_mil_engine.annotations.compare import Comparison
    from sam_mil_engine.annotations.model import Annotation
    from sam_mil_engine.annotations.reading import AnnotationFile
    from sam_mil_engine.slide.info import SlideInfo

    from .model import Analysis


#: What the class of an outline without a class is called.
UNCLASSIFIED = "unclassified"


@dataclass(frozen=True, slots=True)
class Agreement:
    """All segments of an analysis against the outlines of each class.

    Attributes
    ----------
    by_class
        Class -> comparison.
    chosen
        The class that the table shows.
    """

    by_class: dict[str, Comparison]
    chosen: str

    @property
    def comparison(self) -> Comparison:
        """The comparison with the chosen class."""
        return self.by_class[self.chosen]

    @property
    def others(self) -> dict[str, Comparison]:
        """The comparisons with the other classes."""
        return {name: one for name, one in self.by_class.items() if name != self.chosen}

    def choose(self, name: str) -> Agreement:
        """Return the same with another class chosen; a class that is not there changes nothing."""
        return replace(self, chosen=name) if name in self.by_class else self


def load_outlines(path: str | Path, info: SlideInfo, *, progress: ProgressCallback = silent) -> AnnotationFile:
    """Read an annotation file of any known program, with what was left out or repaired.

    The slide shows its first plane: outlines of that plane are read, or those of the first plane that has some.

    Raises
    ------
    AnnotationError
        If it cannot be read, or nothing in it lies on the slide: it belongs to another one.
    """
    from sam_mil_engine.annotations.reading import read_annotation_file

    progress(Progress("annotations", 0, 1, unit="files"))
    found = read_annotation_file(path, info=info, plane=None)
    width, height = info.size_px0
    if found.annotations and not any(_overlaps(item.polygon.bounds, width, height) for item in found.annotations):
        raise AnnotationError(
            f"none of its {len(found.annotations)} outlines lies on the slide {info.slide_id}",
            where=path,
            hint="It probably belongs to another slide, or to another resolution of this one",
        )
    progress(Progress("annotations", 1, 1, unit="files"))
    return found


def _overlaps(bounds: tuple[float, float, float, float], width: int, height: int) -> bool:
    left, top, right, bottom = bounds
    return left < width and top < height and right > 0 and bottom > 0


def compare_with_outlines(
    analysis: Analysis, annotations: Sequence[Annotation], *, progress: ProgressCallback = silent
) -> Agreement:
    """Compare all segments, and the patches where they are scored, with the outlines of each class.

    Raises
    ------
    DataError
        If there are no outlines, or the slide has no segments yet.
    """
    from sam_mil_engine.annotations.compare import compare_groups
    from sam_mil_engine.annotations.model import by_class

    processed, scores = analysis.processed, analysis.scores
    if processed.segments is None:
        raise DataError("the slide has no segments yet", hint="Press Segment/Classify in the Analyze dock")
    if not annotations:
        raise DataError("there is no outline to compare with", hint="Load a file or draw")
    classes = by_class(annotations)
    found: dict[str, Comparison] = {}
    for number, (name, outlines) in enumerate(classes.items()):
        progress(Progress("compare", number, len(classes), unit="classes"))
        found[name or UNCLASSIFIED] = compare_groups(
            processed.segments,
            outlines,
            scores=scores,
            patch_size_px0=None if scores is None or processed.grid is None else processed.grid.size_px0,
            positive=None if scores is None else scores.classes[shown_class(scores)],
        )
    progress(Progress("compare", len(classes), len(classes), unit="classes"))
    return Agreement(found, next(iter(found)))


def list_metrics(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Return the figures of a comparison for a person: name, value, and what it means."""
    cover, patches = comparison.cover, comparison.patches
    rows: list[tuple[str, str, str]] = []
    if len(comparison):
        best = int(comparison.iou.argmax())
        value = f"{comparison.segment[best] + 1}, IoU {comparison.iou[best]:.2f}"
        rows.append(("Best segment", value, "The segment that overlaps the outlines best"))
    if cover.segments:
        names = [str(number + 1) for number in cover.segments]
        listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        rows.append(("Best set", listed, "Segments that together match the outlines best, best first"))
        what = "Of the best set: overlap with the outlines, share of it inside them, share of them inside it"
        rows.append(("IoU", f"{cover.iou:.2f}", what))
        rows.append(("Purity", f"{cover.purity:.2f}", what))
        rows.append(("Recall", f"{cover.recall:.2f}", what))
    else:
        rows.append(("Best set", "none", "No segment touches the outlines"))
    if patches is not None:
        what = "How well it ranks patches inside the outlines before the others: 1 is perfect, 0.5 is chance"
        rows.append(("Patch AUC, probability", _number(patches.probability_auc), what))
        rows.append(("Patch AUC, attention", _number(patches.attention_auc), what))
    return rows


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
