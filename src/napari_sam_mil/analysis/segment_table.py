"""The segment table, one row per segment: listed in the Segments dock and shown when hovering over the layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sam_mil_engine.errors import SettingsError
from sam_mil_engine.geometry import area_um2
from sam_mil_engine.mil.scores import GroupScores, SlideScores
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.segments import Segments

from .placement import Mpp

if TYPE_CHECKING:
    from sam_mil_engine.annotations.compare import Comparison

_TUMOUR_NAMES = frozenset({"tumour", "tumor", "positive", "cancer", "1"})
Column = npt.NDArray[np.floating] | npt.NDArray[np.integer] | npt.NDArray[np.str_]


def segment_table(
    segments: Segments,
    *,
    groups: Groups | None = None,
    scores: SlideScores | None = None,
    comparison: Comparison | None = None,
    others: Mapping[str, Comparison] | None = None,
    names: Sequence[str] = (),
    mpp: Mpp = None,
) -> dict[str, Column]:
    """Return name -> column with one entry per segment. Missing numbers are NaN.

    ``index`` is the label of the segment in the image (1, 2, ...). Area and the segmenter's score are always there;
    patches need groups, agreement needs a comparison, and the other columns need scores. Probability and evidence
    are those of the last of two classes, else of the predicted class. ``others`` are comparisons with the outlines
    of further classes, whose columns carry the class: ``IoU (Stroma)``.
    """
    area_px0 = segments.frame.area_to_px0(segments.area)
    table: dict[str, Column] = {"index": np.arange(1, len(segments) + 1)}
    if any(names):
        table["name"] = np.asarray(names, dtype=np.str_)
    if mpp is None:
        table["area (px²)"] = np.round(area_px0)
    else:
        table["area (µm²)"] = np.round(area_um2(area_px0, mpp), 1)
    if comparison is not None:
        table |= {
            "purity": np.round(comparison.purity, 4),
            "recall": np.round(comparison.recall, 4),
            "IoU": np.round(comparison.iou, 4),
            "in best set": np.isin(comparison.segment, comparison.cover.segments).astype(np.int64),
        }
    for name, other in (others or {}).items():
        shares = {"purity": other.purity, "recall": other.recall, "IoU": other.iou}
        table |= {f"{what} ({name})": np.round(share, 4) for what, share in shares.items()}
    if groups is not None:
        table["patches"] = _per_segment(groups.sizes, groups, len(segments))
        if scores is not None and scores.groups is not None:
            table |= _score_columns(scores, scores.groups, groups, len(segments))
    table["segmenter score"] = np.round(segments.predicted_iou.astype(np.float64), 3)
    return table


def _score_columns(
    scores: SlideScores, of_groups: GroupScores, groups: Groups, n_segments: int
) -> dict[str, Column]:
    table: dict[str, Column] = {}
    column = shown_class(scores)
    if scores.attention is not None:
        table["attention mass"] = _per_segment(of_groups.attention_mass, groups, n_segments)
    table["probability"] = _per_segment(of_groups.mean_probability[:, column], groups, n_segments)
    if scores.evidence is not None:
        # + 0.0 turns -0 into 0
        table["evidence"] = _per_segment(of_groups.evidence[:, column], groups, n_segments) + 0.0
    table["slide without"] = _per_segment(of_groups.probability_without[:, column], groups, n_segments)
    return table


def shown_class(scores: SlideScores) -> int:
    """Return the index of the class that the maps show: the last of two, else the predicted class."""
    return 1 if len(scores.classes) == 2 else int(scores.probabilities.argmax())


def _per_segment(values: npt.ArrayLike, groups: Groups, n_segments: int) -> npt.NDArray[np.float64]:
    column = np.full(n_segments, np.nan)
    column[groups.segment_of_group] = np.round(np.asarray(values, dtype=np.float64), 4)
    return column


_CONDITION = re.compile(r"^(?P<column>.*?)\s*(?P<sign>>=|<=|=|>|<)\s*(?P<number>\S+)$")
_SIGNS: dict[str, Callable[[npt.NDArray[Any], float], npt.NDArray[np.bool_]]] = {
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
    "=": np.isclose,
}


def matching_rows(table: Mapping[str, Column], text: str) -> npt.NDArray[np.bool_]:
    """Return which rows (S,) match a filter: conditions such as ``probability > 0.5``, and words, joined by commas.

    All of them must hold. A column name may be abbreviated to its beginning. Words are searched in the numbers and
    names of the segments, ignoring case. NaN meets no condition.

    Raises
    ------
    SettingsError
        If a condition has an unknown column or an invalid number.
    """
    keep = np.ones(len(next(iter(table.values()), ())), dtype=bool)
    for part in (one.strip() for one in text.split(",")):
        if not part or not len(keep):
            continue
        condition = _CONDITION.match(part)
        if condition is None:
            words = [table["index"].astype(str), *([table["name"]] if "name" in table else [])]
            keep &= np.any([[part.lower() in str(cell).lower() for cell in column] for column in words], axis=0)
            continue
        values = table[_column(table, condition["column"])].astype(np.float64)
        try:
            number = float(condition["number"])
        except ValueError:
            raise SettingsError(f"{condition['number']!r} is not a number", hint="Write it as 0.5") from None
        keep &= _SIGNS[condition["sign"]](values, number)
    return keep


def _column(table: Mapping[str, Column], text: str) -> str:
    names = [name for name in table if name != "name"]
    wanted = text.strip().lower()
    found = [name for name in names if wanted and (name.lower().startswith(wanted))]
    if wanted == "segment":  # the dock's heading for the index
        return "index"
    if not found:
        raise SettingsError(f"there is no column {text!r}", hint=f"The columns are {', '.join(names)}")
    return found[0]


def class_title(name: str) -> str:
    """Return the name of the map that shows the probability of a class."""
    return "tumour probability" if name.lower() in _TUMOUR_NAMES else f"{name} probability"
