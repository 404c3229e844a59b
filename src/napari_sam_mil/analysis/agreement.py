"""Compare segments and patches with the outlines of a slide, for the Annotations dock. No Qt, no napari."""

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


#: Name for outlines without a class.
UNCLASSIFIED = "unclassified"


@dataclass(frozen=True, slots=True)
class Agreement:
    """All segments of an analysis, compared with the outlines of each class.

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
        """Return a copy with this class chosen. An unknown class changes nothing."""
        return replace(self, chosen=name) if name in self.by_class else self


def load_outlines(path: str | Path, info: SlideInfo, *, progress: ProgressCallback = silent) -> AnnotationFile:
    """Read an annotation file in any supported format, with notes on skipped and repaired outlines.

    Outlines of the first plane are read, which is the one that is shown; or of the first plane that has any.

    Raises
    ------
    AnnotationError
        If it cannot be read, or if none of its outlines lies on the slide.
    """
    from sam_mil_engine.annotations.reading import read_annotation_file

    progress(Progress("annotations", 0, 1, unit="files"))
    found = read_annotation_file(path, info=info, plane=None)
    width, height = info.size_px0
    if found.annotations and not any(_overlaps(item.polygon.bounds, width, height) for item in found.annotations):
        raise AnnotationError(
            f"none of its {len(found.annotations)} outlines lies on the slide {info.slide_id}",
            where=path,
            hint="The file probably belongs to a different slide, or to a different resolution of this slide",
        )
    progress(Progress("annotations", 1, 1, unit="files"))
    return found


def _overlaps(bounds: tuple[float, float, float, float], width: int, height: int) -> bool:
    left, top, right, bottom = bounds
    return left < width and top < height and right > 0 and bottom > 0


def compare_with_outlines(
    analysis: Analysis, annotations: Sequence[Annotation], *, progress: ProgressCallback = silent
) -> Agreement:
    """Compare all segments, and the patches if they have scores, with the outlines of each class.

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
        raise DataError("there are no outlines to compare with", hint="Load a file, or draw outlines")
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
    """Return the metrics of a comparison as text for the user: name, value, and explanation."""
    cover, patches = comparison.cover, comparison.patches
    rows: list[tuple[str, str, str]] = []
    if len(comparison):
        best = int(comparison.iou.argmax())
        value = f"{comparison.segment[best] + 1}, IoU {comparison.iou[best]:.2f}"
        rows.append(("Best segment", value, "The segment that overlaps the outlines best"))
    if cover.segments:
        names = [str(number + 1) for number in cover.segments]
        listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        rows.append(("Best set", listed, "The segments that together match the outlines best, the best first"))
        rows.append(("IoU", f"{cover.iou:.2f}", "Intersection over union of the best set and the outlines"))
        rows.append(("Purity", f"{cover.purity:.2f}", "Share of the best set that lies inside the outlines"))
        rows.append(("Recall", f"{cover.recall:.2f}", "Share of the outlines that the best set covers"))
    else:
        rows.append(("Best set", "none", "No segment touches the outlines"))
    if patches is not None:
        what = "How well this score ranks patches inside the outlines above the others: 1 is perfect, 0.5 is chance"
        rows.append(("Patch AUC, probability", _number(patches.probability_auc), what))
        rows.append(("Patch AUC, attention", _number(patches.attention_auc), what))
    return rows


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
