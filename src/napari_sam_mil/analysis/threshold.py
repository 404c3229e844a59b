"""Patch scores and the patches above a threshold, as in the paper's Figure 6."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam_mil_engine.drawing.images import attention_limit
from sam_mil_engine.mil.scores import FloatVector, SlideScores

from ..text import sentence_case
from .segment_table import class_title, shown_class


@dataclass(frozen=True, slots=True)
class Quantity:
    """A score of every patch, to which a threshold can be applied.

    Attributes
    ----------
    title
        The title for the user.
    values
        (N,), one per patch.
    high
        Upper end of the slider; the lower end is 0.
    start
        Initial position of the slider.
    """

    title: str
    values: FloatVector
    high: float
    start: float


def quantities(scores: SlideScores) -> dict[str, Quantity]:
    """Return the available scores: the probability of the shown class, and attention if the model has it."""
    column = shown_class(scores)
    title = class_title(scores.classes[column])
    found = {
        "probability": Quantity(
            title=sentence_case(title),
            values=scores.patch_probability[:, column],
            high=1.0,
            start=scores.patch_threshold(column),
        )
    }
    relative = scores.relative_attention
    if relative is not None:
        found["attention"] = Quantity(
            title="Attention (1 = the mean patch)", values=relative, high=attention_limit(relative), start=1.0
        )
    return found


def describe(values: FloatVector, threshold: float, inside: npt.NDArray[np.float64] | None) -> str:
    """Describe how many patches reach the threshold and how they match the outlines (``inside``: share of each)."""
    above = values >= threshold
    text = f"{above.sum():,} of {len(values):,} patches are at or above {threshold:.2f}"
    if inside is None:
        return f"{text}."
    from sam_mil_engine.annotations.patches import mostly_inside

    truth = mostly_inside(inside)
    hit = int((above & truth).sum())
    parts = [text]
    if above.any():
        parts.append(f"{hit / above.sum():.0%} of them lie inside the outlines")
    if truth.any():
        parts.append(f"{hit / truth.sum():.0%} of the patches inside the outlines are found")
    return "; ".join(parts) + "."
