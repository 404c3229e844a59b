"""DeLong's test: whether two areas under the ROC curve, of the same slides, differ (DeLong et al. 1988).

The area is a mean over pairs of a positive and a negative slide. Its variance follows from the mean that each
slide has over its pairs (its placement), which the ranks give in O(n log n) (Sun and Xu 2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .bootstrap import LEVEL

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DeLong:
    """Two areas, the standard error of their difference, and the p-value of no difference."""

    first: float
    second: float
    standard_error: float
    p: float

    @property
    def difference(self) -> float:
        """First minus second."""
        return self.first - self.second

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the difference."""
        from scipy.stats import norm

        half = float(norm.ppf((1 + LEVEL) / 2)) * self.standard_error
        return self.difference - half, self.difference + half


def placements(positive: npt.NDArray[np.bool_], scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Share of negatives below each positive (m,), and of positives above each negative (n,); ties count half."""
    from scipy.stats import rankdata

    above, below = scores[positive], scores[~positive]
    ranks = rankdata(np.concatenate([above, below]))
    of_positive = (ranks[: len(above)] - rankdata(above)) / len(below)
    of_negative = 1 - (ranks[len(above) :] - rankdata(below)) / len(above)
    return of_positive, of_negative


def delong(positive: npt.NDArray[np.bool_], first: FloatArray, second: FloatArray) -> DeLong:
    """Compare two scores of the same n slides.

    Parameters
    ----------
    positive
        (n,) which slides are positive; at least two must be and two not, else there is no variance and p is
        NaN.
    first, second
        (n,) scores.
    """
    parts = [placements(positive, scores) for scores in (first, second)]
    areas = [float(part[0].mean()) if len(part[0]) and len(part[1]) else math.nan for part in parts]
    if min(positive.sum(), (~positive).sum()) < 2:
        return DeLong(first=areas[0], second=areas[1], standard_error=math.nan, p=math.nan)
    # variance of the difference: that of the difference of placements, on either side
    variance = sum(
        float(np.var(one - other, ddof=1)) / len(one) for one, other in zip(parts[0], parts[1], strict=True)
    )
    from scipy.stats import norm

    error = math.sqrt(variance)
    difference = areas[0] - areas[1]
    if error == 0:
        return DeLong(first=areas[0], second=areas[1], standard_error=0.0, p=1.0 if difference == 0 else 0.0)
    return DeLong(
        first=areas[0], second=areas[1], standard_error=error, p=float(2 * norm.sf(abs(difference) / error))
    )
