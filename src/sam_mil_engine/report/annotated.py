"""A person's annotation next to the prediction: what a slide's section shows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from shapely import MultiPolygon
from shapely import Polygon as ShapelyPolygon

from ..annotations.compare import Comparison, compare_groups
from ..annotations.model import Annotation, polygons_of, union_px0
from ..drawing.images import Polygon
from .content import SlideSection


def with_annotations(section: SlideSection, annotations: Sequence[Annotation]) -> SlideSection:
    """Add the outlines of one class, each group's agreement with them, and the metrics of the comparison.

    Parameters
    ----------
    section
        A slide; figures need its segments, those of patches need its scores and patch size too.
    annotations
        Outlines of the class that stands for the shown class; none changes nothing.
    """
    if not annotations:
        return section
    outlined = replace(section, annotation=rings_of(union_px0(annotations)))
    if section.segments is None:
        return outlined
    placed = section.patch_size_px0 is not None and section.scores is not None
    comparison = compare_groups(
        section.segments,
        annotations,
        groups=section.groups,
        scores=section.scores if placed else None,
        patch_size_px0=section.patch_size_px0,
        positive=section.scores.classes[section.shown_class] if section.scores is not None else None,
    )
    agreement = None if section.groups is None else comparison.purity
    return replace(outlined, agreement=agreement, comparison=_rows(comparison))


def rings_of(area: ShapelyPolygon | MultiPolygon) -> tuple[Polygon, ...]:
    """Return the rings of an area, not closed, as the drawing functions take them."""
    return tuple(
        (
            np.asarray(part.exterior.coords, dtype=np.float64)[:-1, :2],
            tuple(np.asarray(hole.coords, dtype=np.float64)[:-1, :2] for hole in part.interiors),
        )
        for part in polygons_of(area)
    )


def _rows(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    cover = comparison.cover
    rows = [("Annotated class", comparison.classification)]
    if comparison.patches is not None:
        for name, auc in (
            ("Patch AUC of the probability", comparison.patches.probability_auc),
            ("Patch AUC of the attention", comparison.patches.attention_auc),
        ):
            rows.append((name, "–" if auc is None else f"{auc:.3f}"))
    if len(comparison):
        best = int(comparison.iou.argmax())
        rows.append(("Best single segment", f"{comparison.segment[best] + 1}, IoU {comparison.iou[best]:.2f}"))
    if cover.segments:
        names = ", ".join(str(number + 1) for number in cover.segments)
        rows.append(("Best set of segments", names))
        rows.append(("Its IoU, purity, recall", f"{cover.iou:.2f}, {cover.purity:.2f}, {cover.recall:.2f}"))
    return tuple(rows)
