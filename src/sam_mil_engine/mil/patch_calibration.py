"""From patch scores to tumour probabilities and to a threshold, learnt from slide labels (methods §3). No torch.

Every patch of a negative slide is negative. With f0 the distribution of the scores x on negative slides, that on
positive slides is f = (1 - prior) f0 + prior f1, and the ratio f / f0 gives the probability of a patch of a
positive slide: 1 - (1 - prior) / ratio (Elkan and Noto 2008; du Plessis et al. 2014). The ratio is that of a
classifier between the patches of positive and of negative slides. It has the form (1 - prior) + exp(w x + c), an
exponential tilting of f0 (Anderson 1979): its lower end is 1 - prior, and the probability is a logistic function of
w x, strictly increasing, with hardly anything to learn, since validation slides are few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Share of normal tissue that reaches the operating point, at most.
NORMAL_SHARE = 0.01
#: Beyond this, log odds grow slowly: patches keep their order in single precision, and nothing is certain.
_LINEAR = 6.0


@dataclass(frozen=True, slots=True)
class PatchCalibration:
    """What validation slides say of a model's patch scores.

    Attributes
    ----------
    negative
        Name of the negative class.
    scores
        The columns that are used (:data:`~.patch_scores.SCORES`).
    weights, intercept
        One weight per column, none negative: log odds of tumour in a positive slide.
    prior
        Estimated share of tumour patches in positive slides.
    slides, negative_slides
        Validation slides in all, and negative ones.
    operating_point
        Log odds that at most 1% of the patches of negative slides reach.
    log_odds, shares
        (K,) ascending and descending: the share of the patches of negative slides that reach the log odds.
    """

    negative: str
    scores: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float
    prior: float
    slides: int
    negative_slides: int
    operating_point: float
    log_odds: tuple[float, ...]
    shares: tuple[float, ...]

    def score(self, columns: npt.ArrayLike) -> FloatArray:
        """(N, k) patch scores -> (N,) log odds of tumour in a positive slide."""
        used = np.asarray(columns, dtype=np.float64)[:, : len(self.weights)]
        return compressed(used @ np.asarray(self.weights) + self.intercept)

    def reading(self, positive_slide: float) -> CalibratedPatches:
        """Return threshold and share curve as patch probabilities of a slide, given that of its being positive."""
        return CalibratedPatches(
            slides=self.slides,
            negative=self.negative,
            operating_point=float(positive_slide * logistic(np.float64(self.operating_point))),
            thresholds=tuple((positive_slide * logistic(np.asarray(self.log_odds))).tolist()),
            shares=self.shares,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PatchCalibration:
        """Read what :meth:`to_dict` gave.

        Raises
        ------
        KeyError
            If something is missing.
        ValueError
            If its numbers are not finite, or do not fit together.
        """
        found = cls(
            negative=str(values["negative"]),
            scores=tuple(str(name) for name in values["scores"]),
            weights=tuple(float(value) for value in values["weights"]),
            intercept=float(values["intercept"]),
            prior=float(values["prior"]),
            slides=int(values["slides"]),
            negative_slides=int(values["negative_slides"]),
            operating_point=float(values["operating_point"]),
            log_odds=tuple(float(value) for value in values["log_odds"]),
            shares=tuple(float(value) for value in values["shares"]),
        )
        numbers = (found.intercept, found.prior, found.operating_point)
        if not np.isfinite([*numbers, *found.weights, *found.log_odds, *found.shares]).all():
            raise ValueError("the calibration holds numbers that are not finite")
        if len(found.weights) != len(found.scores) or not found.scores:
            raise ValueError("the calibration has not one weight per score")
        if len(found.log_odds) != len(found.shares) or not found.shares:
            raise ValueError("the calibration has not one share per threshold")
        return found


@dataclass(frozen=True, slots=True)
class CalibratedPatches:
    """How the patch probabilities of one slide are to be read.

    Attributes
    ----------
    slides
        Validation slides that they were calibrated on.
    negative
        Name of the negative class.
    operating_point
        Probability that at most 1% of normal tissue reaches, as far as validation slides tell.
    thresholds, shares
        (K,) probabilities, ascending, and the share of normal tissue that reaches each.
    """

    slides: int
    negative: str
    operating_point: float
    thresholds: tuple[float, ...]
    shares: tuple[float, ...]

    def normal_share(self, threshold: float) -> float:
        """Share of the patches of normal tissue that a threshold on the probability would mark."""
        if threshold > self.thresholds[-1]:
            return 0.0
        return float(np.interp(threshold, self.thresholds, self.shares))


def compressed(log_odds: FloatArray) -> FloatArray:
    """Log odds whose growth slows down beyond ±6, strictly increasing."""
    beyond = np.maximum(np.abs(log_odds) - _LINEAR, 0)
    limited: FloatArray = np.clip(log_odds, -_LINEAR, _LINEAR) + np.sign(log_odds) * np.log1p(beyond)
    return limited


def logistic(log_odds: FloatArray | np.float64) -> FloatArray:
    """Log odds -> probabilities."""
    return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float64)


def class_probabilities(positive: FloatArray, raw: npt.ArrayLike, negative: int) -> npt.NDArray[np.float32]:
    """(N, C): the calibrated probability (N,) of not being negative, divided among the classes as the raw ones."""
    shares = np.array(raw, dtype=np.float64)
    shares[:, negative] = 0
    total = shares.sum(axis=1, keepdims=True)
    n_positive = shares.shape[1] - 1
    shares = np.divide(shares, total, out=np.full_like(shares, 1 / n_positive), where=total > 0)
    found = np.asarray(positive[:, None] * shares, dtype=np.float32)
    found[:, negative] = 1 - positive
    return found


def operating_point(negative: Sequence[FloatArray], share: float = NORMAL_SHARE) -> float:
    """Score that at most ``share`` of the patches of negative slides reach, and of slides left out in turn.

    A quantile of few slides is too low for the next one. So the share that counts is that of each slide at the
    quantile of the others, mean over the slides plus its standard error; the quantile is raised until this is
    ``share`` at most, and ends above all patches.
    """
    together = np.concatenate(list(negative))
    for level in share * np.array([1.0, 0.75, 0.5, 0.3, 0.2, 0.1, 0.05]):
        if len(negative) == 1:
            break
        left_out = [
            (own > np.quantile(np.concatenate([*negative[:place], *negative[place + 1 :]]), 1 - level)).mean()
            for place, own in enumerate(negative)
        ]
        if np.mean(left_out) + np.std(left_out, ddof=1) / np.sqrt(len(left_out)) <= share:
            return float(np.nextafter(np.quantile(together, 1 - level, method="higher"), np.inf))
    return float(np.nextafter(together.max(), np.inf))


#: Shares of normal tissue at which its scores are kept for the slider.
_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02, 0.015, 0.01,
           0.0075, 0.005, 0.0025, 0.001)  # fmt: skip


def share_curve(negative: Sequence[FloatArray]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scores (K,), strictly ascending, and the share of the patches of negative slides that reach each."""
    together = np.sort(np.concatenate(list(negative)))
    scores = np.unique(np.append(np.quantile(together, 1 - np.array(_SHARES), method="higher"), together[-1]))
    reached = 1 - np.searchsorted(together, scores, side="left") / len(together)
    above = np.nextafter(scores[-1], np.inf)
    return (*scores.tolist(), float(above)), (*reached.tolist(), 0.0)
