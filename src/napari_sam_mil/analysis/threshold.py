"""Patch scores and the patches above a threshold, as in the paper's Figure 6."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sam_mil_engine.drawing.images import attention_limit
from sam_mil_engine.mil.scores import RAW, FloatVector, SlideScores

from ..text import sentence_case
from .segment_table import class_title, shown_class

if TYPE_CHECKING:
    from sam_mil_engine.mil.patch_calibration import CalibratedPatches

#: Decimals of a threshold in the window.
DECIMALS = 3


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
    worth
        For probabilities: ``calibrated on 38 validation slides``, or ``raw``.
    calibration
        The share of normal tissue that a threshold marks; None if it is not known.
    """

    title: str
    values: FloatVector
    high: float
    start: float
    worth: str = ""
    calibration: CalibratedPatches | None = None

    @property
    def legend(self) -> str:
        """Its name with what it is worth: ``Tumour probability (raw)``."""
        return f"{self.title} ({self.worth})" if self.worth else self.title

    def marks(self, threshold: float) -> str:
        """Say what share of normal tissue a threshold marks, as far as that is known."""
        if self.calibration is None:
            raw = "Raw: it is not known how much normal tissue this threshold marks."
            return raw if self.worth == RAW else ""
        share = self.calibration.normal_share(threshold)
        amount = "less than 0.1%" if 0 < share < 0.001 else f"{share:.1%}"
        return f"Marks {amount} of normal tissue ({self.worth})."


def quantities(scores: SlideScores) -> dict[str, Quantity]:
    """Return the available scores: the probability of the shown class, and attention if the model has it."""
    column = shown_class(scores)
    title = class_title(scores.classes[column])
    known, start = scores.calibration, scores.patch_threshold(column)
    if known is not None and scores.classes[column] == known.negative:
        known = None
    if known is not None:  # rounded up: below the operating point, more of normal tissue would be marked
        start = min(1.0, math.ceil(start * 10**DECIMALS - 1e-6) / 10**DECIMALS)
    found = {
        "probability": Quantity(
            title=sentence_case(title),
            values=scores.patch_probability[:, column],
            high=1.0,
            start=start,
            worth=scores.calibrated,
            calibration=known,
        )
    }
    relative = scores.relative_attention
    if relative is not None:
        found["attention"] = Quantity(
            title="Attention (1 = the mean patch)", values=relative, high=attention_limit(relative), start=1.0
        )
    return found


def describe(quantity: Quantity, threshold: float, inside: npt.NDArray[np.float64] | None) -> str:
    """Describe what a threshold marks: of normal tissue, of the patches, and of the outlines.

    ``inside`` is the share of each patch inside the outlines.
    """
    return f"{quantity.marks(threshold)} {_counts(quantity.values, threshold, inside)}".strip()


def _counts(values: FloatVector, threshold: float, inside: npt.NDArray[np.float64] | None) -> str:
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
