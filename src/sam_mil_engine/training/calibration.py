"""Calibration on validation slides: a temperature for the slide, a probability and a threshold for its patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..errors import SettingsError
from ..mil.aggregator import Aggregator
from ..mil.patch_calibration import (
    FloatArray,
    PatchCalibration,
    compressed,
    logistic,
    operating_point,
    share_curve,
)
from ..mil.patch_scores import SCORES, patch_scores
from ..tables.cells import listing
from .bag_store import Example, in_order

#: Names that mean "no tumour here", in lower case.
NEGATIVE_NAMES = frozenset(
    {"normal", "negative", "neg", "benign", "healthy", "control", "tumour-free", "tumor-free", "non-tumour",
     "non-tumor", "no tumour", "no tumor", "no_tumour", "no_tumor", "nontumour", "nontumor"}
)  # fmt: skip
#: Patches of one slide that the fit takes at most, evenly spread.
MOST_PATCHES = 1000
#: Slides of either kind that a calibration needs.
FEWEST = 2
#: Weight of the penalty that keeps the fit finite where scores separate the slides.
_RIDGE = 1e-4
#: Values of the prior that are tried.
_PRIORS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
#: The smallest prior is taken whose log-likelihood over slides is this near to the best: one standard error.
_NEAR = 0.5
#: Temperatures that are tried, and the spread of the logarithm that is expected.
_TEMPERATURES = np.geomspace(0.5, 8, 81)
_SPREAD = 0.7


def find_negative(classes: Sequence[str], chosen: str | None) -> int | None:
    """Position of the negative class: the chosen one, or the only class whose name says so; None where none does.

    Raises
    ------
    SettingsError
        If the chosen one is not a class.
    """
    if chosen is not None:
        if chosen not in classes:
            raise SettingsError(
                f"there is no class {chosen!r}",
                where="TrainSettings.negative_class",
                hint=f"Choose one of: {listing(classes)}",
            )
        return list(classes).index(chosen)
    found = [place for place, name in enumerate(classes) if name.strip().lower() in NEGATIVE_NAMES]
    return found[0] if len(found) == 1 else None


def fit_temperature(probabilities: FloatArray, labels: npt.NDArray[np.int64]) -> float:
    """Temperature by which the logits of slides are divided (Guo et al. 2017); 1 where it does not help.

    It must lower the loss of slides that it was not fitted on: each slide is left out in turn. Values near 1 are
    preferred where slides are few. If all slides are classified correctly, no temperature can be estimated.

    Parameters
    ----------
    probabilities, labels
        (n, C), (n,) of the validation slides.
    """
    n = len(labels)
    if n < 2 * FEWEST or (probabilities.argmax(axis=1) == labels).all():
        return 1.0
    scaled = np.log(np.maximum(probabilities, 1e-300))[None] / _TEMPERATURES[:, None, None]
    peak = scaled.max(axis=2)
    normaliser = peak + np.log(np.exp(scaled - peak[..., None]).sum(axis=2))
    losses = normaliser - scaled[:, np.arange(n), labels]  # (temperatures, n)
    penalty = np.log(_TEMPERATURES) ** 2 / (2 * _SPREAD**2)
    total = losses.sum(axis=1) + penalty
    chosen = (total[:, None] - losses).argmin(axis=0)
    held_out = losses[chosen, np.arange(n)].mean()
    plain = losses[np.abs(_TEMPERATURES - 1).argmin()].mean()
    return float(_TEMPERATURES[total.argmin()]) if held_out < plain else 1.0


def at_temperature(probabilities: FloatArray, temperature: float) -> FloatArray:
    """(n, C) probabilities with the logits divided by the temperature."""
    if temperature == 1:
        return probabilities
    logits = np.log(np.maximum(probabilities, 1e-300)) / temperature
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    scaled: FloatArray = odds / odds.sum(axis=1, keepdims=True)
    return scaled


@torch.inference_mode()
def calibrate_patches(
    model: Aggregator, slides: Sequence[Example], classes: Sequence[str], *, negative: int
) -> PatchCalibration | None:
    """Calibrate the patch scores of a model on validation slides; None where these are too few.

    Two slides of either kind are needed, and scores that are higher in positive slides.
    """
    model.eval()
    found = []
    for example in in_order(slides, range(len(slides))):
        scores = patch_scores(model, model(example.bag), len(example.bag), negative=negative)
        found.append((int(example.label) != negative, scores.double().cpu().numpy()))
    return fit_patches(found, negative=classes[negative])


@dataclass(frozen=True, slots=True)
class _Patches:
    """Standardised scores (n, k) of the patches, whether their slide is positive, and weights that add up to 1."""

    scores: FloatArray
    positive: npt.NDArray[np.bool_]
    weights: FloatArray


def fit_patches(slides: Sequence[tuple[bool, FloatArray]], *, negative: str) -> PatchCalibration | None:
    """Fit the calibration to (positive, patch scores (N, k)) of the validation slides; None where it cannot be.

    Slides weigh the same, whatever their number of patches, and positive slides as much as negative ones.
    """
    kinds = np.array([positive for positive, _ in slides], dtype=bool)
    if min(kinds.sum(), (~kinds).sum()) < FEWEST:
        return None
    thinned = [scores[:: -(-len(scores) // MOST_PATCHES)] for _, scores in slides]
    together = np.concatenate(thinned)
    mean, spread = together.mean(axis=0), together.std(axis=0)
    spread = np.where(spread > 1e-9, spread, np.inf)  # a score that is the same everywhere has no effect
    patches = _Patches(
        (together - mean) / spread,
        np.repeat(kinds, [len(scores) for scores in thinned]),
        np.concatenate(
            [np.full(len(scores), 0.5 / len(scores) / (kinds == kind).sum()) for scores, kind in
             zip(thinned, kinds, strict=True)]
        ),
    )  # fmt: skip
    weights, intercept = _fit_ratio(patches, len(slides))
    if not (weights > 0).any():
        return None
    per_unit = weights / spread
    constant = float(intercept - per_unit @ mean)
    log_odds_of = [compressed(scores @ per_unit + constant) for _, scores in slides]
    normal = [own for own, positive in zip(log_odds_of, kinds, strict=True) if not positive]
    tumour = [logistic(own).mean() for own, positive in zip(log_odds_of, kinds, strict=True) if positive]
    log_odds, shares = share_curve(normal)
    return PatchCalibration(
        negative=negative,
        scores=SCORES[: len(per_unit)],
        weights=tuple(per_unit.tolist()),
        intercept=constant,
        prior=float(np.mean(tumour)),
        slides=len(slides),
        negative_slides=len(normal),
        operating_point=operating_point(normal),
        log_odds=log_odds,
        shares=shares,
    )


def _fit_ratio(patches: _Patches, n_slides: int) -> tuple[FloatArray, float]:
    """Weights (k,) and intercept of the log odds of tumour in a positive slide.

    The ratio of few slides falls below its true lower end by chance as easily as it stays above, and many priors
    explain it about as well. Slides that differ in stain alone look like many faint tumours, so the smallest prior
    is taken that is as good as the best within one standard error.
    """
    fits = [(prior, *_fit_given(patches, prior)) for prior in _PRIORS]
    best = min(loss for _, _, loss in fits)
    prior, found, _ = next(fit for fit in fits if n_slides * (fit[2] - best) <= _NEAR)
    return found[1:], float(found[0] - np.log(1 - prior))


def _fit_given(patches: _Patches, prior: float) -> tuple[FloatArray, float]:
    """Offset and weights (1 + k,) of the ratio (1 - prior) + exp(offset + x w) with least loss, and the loss."""
    from scipy.optimize import minimize

    width = patches.scores.shape[1]

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        tilt = np.exp(np.clip(patches.scores @ parameters[1:] + parameters[0], -30, 30))
        ratio = 1 - prior + tilt
        likelihood = np.where(patches.positive, np.log(ratio), 0) - np.log1p(ratio)
        slope = patches.weights * tilt * (np.where(patches.positive, 1 / ratio, 0) - 1 / (1 + ratio))
        value = -patches.weights @ likelihood + _RIDGE * parameters[1:] @ parameters[1:]
        return float(value), np.append(-slope.sum(), 2 * _RIDGE * parameters[1:] - slope @ patches.scores)

    starts = (np.append(np.log(prior) - steep, np.full(width, steep)) for steep in (1.0, 3.0))
    limits = [(-20.0, 10.0), *[(0.0, 20.0)] * width]
    tried = [minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits) for start in starts]
    best = min(tried, key=lambda result: float(result.fun))
    return np.asarray(best.x, dtype=np.float64), float(best.fun)
