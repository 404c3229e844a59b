"""Patches against annotations: how much of each is inside, and whether scores find those that are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon

from ..errors import DataError
from ..mil.scores import SlideScores
from ..training.metrics import auc
from .model import as_area

Vector = npt.NDArray[np.float64]
#: Share of a patch from which it counts as inside an annotation.
_INSIDE_FROM = 0.5


@dataclass(frozen=True, slots=True)
class PatchAgreement:
    """Patches against the annotation.

    Attributes
    ----------
    inside
        (N,) share of every patch's square that the annotation covers.
    attention_auc, probability_auc
        Area under the ROC curve for patches at least half inside against the others; None without attention, and
        where all patches are on one side.
    """

    inside: Vector
    attention_auc: float | None
    probability_auc: float | None


def patch_inside(
    coords_px0: npt.ArrayLike, size_px0: tuple[float, float], polygons: Iterable[Polygon | MultiPolygon]
) -> Vector:
    """Share (N,) of every patch that polygons cover together, exact.

    Parameters
    ----------
    coords_px0
        (N, 2) top left corners of the patches.
    size_px0
        Width and height of a patch.
    polygons
        Valid areas in level-0 pixels; overlaps count once.
    """
    corners = np.asarray(coords_px0, dtype=np.float64).reshape(-1, 2)
    area = as_area(shapely.union_all(list(polygons)))
    right, bottom = (corners + size_px0).T
    boxes = shapely.box(corners[:, 0], corners[:, 1], right, bottom)
    shapely.prepare(area)
    share: Vector = shapely.contains(area, boxes).astype(np.float64)
    edge = np.flatnonzero(shapely.intersects(area, boxes) & (share == 0))
    # an overlay costs as much as the area has corners, so cut it to the strip of each column of patches first
    for x in np.unique(corners[edge, 0]):
        column = edge[corners[edge, 0] == x]
        strip = shapely.intersection(
            area, shapely.box(x, corners[column, 1].min(), x + size_px0[0], bottom[column].max())
        )
        share[column] = shapely.area(shapely.intersection(strip, boxes[column])) / (size_px0[0] * size_px0[1])
    return share


def mostly_inside(inside: Vector) -> npt.NDArray[np.bool_]:
    """(N,) which patches count as annotated: those of which half at least is covered."""
    return inside >= _INSIDE_FROM


def patch_agreement(
    scores: SlideScores,
    area_px0: Polygon | MultiPolygon,
    *,
    size_px0: tuple[float, float],
    positive: str | None = None,
) -> PatchAgreement:
    """Patch-level AUC of attention and of the probability of class ``positive`` (the last one if None).

    Raises
    ------
    DataError
        If ``positive`` is not a class of the scores.
    """
    name = scores.classes[-1] if positive is None else positive
    if name not in scores.classes:
        raise DataError(f"the scores have no class {name!r}", hint=f"Choose one of: {', '.join(scores.classes)}")
    inside = patch_inside(scores.coords_px0, size_px0, [area_px0])
    truth = mostly_inside(inside)
    return PatchAgreement(
        inside=inside,
        attention_auc=None if scores.attention is None else _auc(truth, scores.attention),
        probability_auc=_auc(truth, scores.patch_probability[:, scores.classes.index(name)]),
    )


def _auc(truth: npt.NDArray[np.bool_], score: npt.NDArray[np.float32]) -> float | None:
    return auc(truth, score) if truth.any() and not truth.all() else None
