"""Find the segments at a point of the image. No Qt, no napari."""

from __future__ import annotations

import numpy as np

from sam_mil_engine.segment.segments import Segments

from .model import Analysis
from .segment_table import shown_class


def segments_at(segments: Segments, x: float, y: float) -> list[int]:
    """Return the numbers (from 0) of the segments that a level-0 point lies in, the smallest first."""
    column, row = np.floor(segments.frame.from_px0([(x, y)])[0]).astype(int).tolist()
    left, top, width, height = segments.boxes_raster.T
    near = (left <= column) & (column < left + width) & (top <= row) & (row < top + height)
    found = [
        number
        for number in np.flatnonzero(near).tolist()
        if segments.crops[number][row - top[number], column - left[number]]
    ]
    return sorted(found, key=lambda number: (int(segments.area[number]), number))


def next_segment(found: list[int], chosen: int | None) -> int | None:
    """Return which segment at a point to select: the smallest, or the next larger one than ``chosen``."""
    if not found:
        return None
    return found[(found.index(chosen) + 1) % len(found)] if chosen in found else found[0]


def describe_prediction_without(analysis: Analysis, number: int) -> str:
    """Describe the prediction for the slide without a segment (from 0); empty if it is not known."""
    scores, bag = analysis.scores, analysis.processed.bag
    if scores is None or scores.groups is None or bag is None or bag.groups is None:
        return ""
    places = np.flatnonzero(bag.groups.segment_of_group == number)
    if not len(places):
        return f"Segment {number + 1} has no patches of its own, so the prediction does not change without it."
    column = shown_class(scores)
    with_it = float(scores.probabilities[column])
    without = float(scores.groups.probability_without[places[0], column])
    if np.isnan(without):
        return f"Without segment {number + 1}, no patch would be left."
    name, change = scores.classes[column], without - with_it
    crossed = (with_it >= scores.threshold) != (without >= scores.threshold) and len(scores.classes) == 2
    turned = ", which crosses the threshold" if crossed else ""
    said = f"probability of {name} {with_it:.3f} → {without:.3f} ({_signed(change)}){turned}"
    return f"Without segment {number + 1}: {said}."


def _signed(change: float) -> str:
    """Format a change with a true minus sign, and avoid a change of 0.000."""
    return "by less than 0.001" if abs(change) < 5e-4 else f"{change:+.3f}".replace("-", "−")
