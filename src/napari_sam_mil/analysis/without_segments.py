"""The prediction for a slide without some segments, and for these segments alone. No Qt, no napari."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sam_mil_engine import layout
from sam_mil_engine.errors import BagError
from sam_mil_engine.progress import Progress, ProgressCallback, silent

from ..background.worker import call_in_worker
from .model import Analysis
from .segment_table import shown_class

if TYPE_CHECKING:
    from sam_mil_engine.bag.feature_bag import FeatureBag
    from sam_mil_engine.mil.scores import FloatVector, SlideScores
    from sam_mil_engine.segment.groups import Groups
    from sam_mil_engine.training.checkpoint import TrainedModel

_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions for the rest of the slide and for the chosen tissue.

    Attributes
    ----------
    without
        (C,) probabilities of the slide without the patches of the segments; NaN where no patch stays.
    only
        (C,) probabilities of these patches alone; None where it is not known.
    """

    without: FloatVector
    only: FloatVector | None


def find_groups(analysis: Analysis, numbers: Sequence[int]) -> list[int]:
    """Return the groups that segments (from 0) became; a segment without a patch has none."""
    bag = analysis.processed.bag
    if bag is None or bag.groups is None:
        return []
    return np.flatnonzero(np.isin(bag.groups.segment_of_group, list(numbers))).tolist()


def stored_predictions(analysis: Analysis, number: int) -> Predictions | None:
    """Return what the prediction already holds of one segment (from 0); None where that is nothing."""
    scores, groups = analysis.scores, find_groups(analysis, [number])
    if scores is None or scores.groups is None or not groups:
        return None
    only = scores.groups.probability_only
    return Predictions(scores.groups.probability_without[groups[0]], None if only is None else only[groups[0]])


def predict_without_segments(
    analysis: Analysis, numbers: Sequence[int], *, progress: ProgressCallback = silent
) -> Predictions:
    """Predict the slide without segments (from 0), and these alone, in another process.

    Raises
    ------
    SamMilError
        If the bag or the model cannot be read any more.
    Cancelled
        If ``progress`` raises it.
    """
    bag = analysis.processed.bag
    if bag is None or bag.groups is None or analysis.model is None:
        raise ValueError("a prediction without segments needs a bag with groups and a classifier")
    found: Predictions = call_in_worker(
        predict_groups,
        analysis.model.path,
        analysis.processed.bag_path,
        bag.coords_px0,
        bag.groups,
        find_groups(analysis, numbers),
        progress=progress,
    )
    return found


def predict_groups(
    folder: Path,
    bag_path: Path,
    coords_px0: npt.NDArray[np.int32],
    groups: Groups,
    chosen: Sequence[int],
    *,
    progress: ProgressCallback = silent,
) -> Predictions:
    """Predict the bag of a file, grouped as it is in the window, without the chosen groups and with them alone.

    Model and features stay in memory for the next choice; they are read again where their file has changed.

    Raises
    ------
    BagError
        If the file holds other patches.
    ModelError
        If the model is damaged, or does not fit the features.
    """
    from sam_mil_engine.prediction.slide import predict_only, predict_without

    progress(Progress("segments", 0, 4, unit="steps"))
    model = _model(folder, _changed(folder / layout.MODEL))
    progress(Progress("segments", 1, 4, unit="steps"))
    bag = _bag(bag_path, _changed(bag_path))
    if not np.array_equal(bag.coords_px0, coords_px0):
        raise BagError(
            "the bag was made again in the meantime: its patches are others",
            where=bag_path,
            hint="Press Segment/Classify in the Analyze dock again",
        )
    bag = bag.with_groups(groups)
    progress(Progress("segments", 2, 4, unit="steps"))
    without = predict_without(model, bag, chosen)
    progress(Progress("segments", 3, 4, unit="steps"))
    only = predict_only(model, bag, chosen)
    progress(Progress("segments", 4, 4, unit="steps"))
    return Predictions(without, only)


@lru_cache(maxsize=1)
def _model(folder: Path, changed: int) -> TrainedModel:
    from sam_mil_engine.training.checkpoint import load_model

    del changed
    return load_model(folder)


@lru_cache(maxsize=1)
def _bag(path: Path, changed: int) -> FeatureBag:
    from sam_mil_engine.bag.h5 import read_bag

    del changed
    return read_bag(path)


def _changed(file: Path) -> int:
    """Nanoseconds of the last change of a file, 0 where there is none: reading it says so."""
    return file.stat().st_mtime_ns if file.exists() else 0


def describe_predictions(analysis: Analysis, numbers: Sequence[int], predictions: Predictions | None) -> str:
    """Describe the prediction without the segments (from 0) and for them alone; empty without a prediction.

    ``predictions`` is None while they are being computed; segments without patches need none.
    """
    scores = analysis.scores
    if scores is None or not numbers or analysis.processed.bag is None or analysis.processed.bag.groups is None:
        return ""
    these = f"segment {numbers[0] + 1}" if len(numbers) == 1 else f"these {_count(len(numbers))} segments"
    if not find_groups(analysis, numbers):
        has = "has no patches of its own" if len(numbers) == 1 else "have no patches of their own"
        it = "it" if len(numbers) == 1 else "them"
        return f"{these[0].upper()}{these[1:]} {has}, so the prediction does not change without {it}."
    name = scores.classes[shown_class(scores)]
    if predictions is None:
        return f"Without {these}: probability of {name} …\nOnly {these}: …"
    lines = [f"Without {these}, no patch would be left."]
    if not np.isnan(predictions.without).any():
        lines = [f"Without {these}: probability of {name} {_change(scores, predictions.without)}."]
    if predictions.only is not None:
        lines.append(f"Only {these}: {_change(scores, predictions.only)}.")
    return "\n".join(lines)


def _count(number: int) -> str:
    return _COUNTS[number] if number < len(_COUNTS) else f"{number:,}"


def _change(scores: SlideScores, probabilities: FloatVector) -> str:
    """Write ``0.980 → 0.020 (−0.960), which crosses the threshold``."""
    column = shown_class(scores)
    before, after = float(scores.probabilities[column]), float(probabilities[column])
    crossed = (before >= scores.threshold) != (after >= scores.threshold) and len(scores.classes) == 2
    turned = ", which crosses the threshold" if crossed else ""
    return f"{before:.3f} → {after:.3f} ({_signed(after - before)}){turned}"


def _signed(change: float) -> str:
    """Write a change with a true minus sign, and one that would read 0.000 in words."""
    return "by less than 0.001" if abs(change) < 5e-4 else f"{change:+.3f}".replace("-", "−")
