"""One row a segment: what the segments layer shows on hovering and the Groups dock lists."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sam_mil_engine.mil.scores import SlideScores
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.segments import Segments

from .placement import Mpp

Column = npt.NDArray[np.floating] | npt.NDArray[np.integer]


def group_table(
    segments: Segments, *, groups: Groups | None = None, scores: SlideScores | None = None, mpp: Mpp = None
) -> dict[str, Column]:
    """Name -> column with one entry a segment; a number that does not exist is not-a-number.

    ``index`` is the segment's label in the picture (1, 2, ...). Columns appear as far as is known: area and the
    segmenter's score always, patches with groups, the rest with scores. Probability and evidence are those of
    the last class (two classes) or of the predicted one.
    """
    area_px0 = segments.frame.area_to_px0(segments.area)
    table: dict[str, Column] = {"index": np.arange(1, len(segments) + 1)}
    if mpp is None:
        table["area (px²)"] = np.round(area_px0)
    else:
        table["area (µm²)"] = np.round(area_px0 * mpp[0] * mpp[1], 1)
    table["segmenter score"] = np.round(segments.predicted_iou.astype(np.float64), 3)
    if groups is None:
        return table
    table["patches"] = _spread(groups.sizes, groups, len(segments))
    if scores is None or scores.groups is None:
        return table
    column = shown_class(scores)
    of_groups = scores.groups
    if scores.attention is not None:
        table["attention mass"] = _spread(of_groups.attention_mass, groups, len(segments))
    table["probability"] = _spread(of_groups.mean_probability[:, column], groups, len(segments))
    if scores.evidence is not None:
        table["evidence"] = _spread(of_groups.evidence[:, column], groups, len(segments))
    table["slide without"] = _spread(of_groups.probability_without[:, column], groups, len(segments))
    return table


def shown_class(scores: SlideScores) -> int:
    """Return the number of the class that the maps show: the last of two, else the predicted one."""
    return 1 if len(scores.classes) == 2 else int(scores.probabilities.argmax())


def _spread(values: npt.ArrayLike, groups: Groups, n_segments: int) -> npt.NDArray[np.float64]:
    column = np.full(n_segments, np.nan)
    column[groups.segment_of_group] = np.round(np.asarray(values, dtype=np.float64), 4)
    return column
