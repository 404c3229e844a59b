"""Probabilities of patches, calibrated where the model is, for a slide of known probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..mil.aggregator import AggregatorOutput
from ..mil.patch_calibration import CalibratedPatches, class_probabilities, logistic
from ..mil.patch_probability import patch_probability
from ..mil.patch_scores import patch_scores
from ..mil.scores import FloatVector
from ..training.checkpoint import TrainedModel


@dataclass(frozen=True, slots=True)
class PatchProbabilities:
    """Probabilities of N patches.

    Attributes
    ----------
    values
        (N, C).
    derivation
        How the raw ones were derived.
    score
        (N,) log odds of tumour in a positive slide, or None where the model is not calibrated.
    calibration
        How they are to be read, or None where the model is not calibrated.
    """

    values: FloatVector
    derivation: str
    score: FloatVector | None = None
    calibration: CalibratedPatches | None = None


def patch_probabilities(
    model: TrainedModel, output: AggregatorOutput, n_patches: int, slide: npt.ArrayLike
) -> PatchProbabilities:
    """Derive the probabilities of the patches of an output (methods §3).

    Parameters
    ----------
    output
        What ``model.model`` made of a bag of ``n_patches`` patches.
    slide
        (C,) probabilities of the slide, on which calibrated ones depend.
    """
    tensor, derivation = patch_probability(model.model, output, n_patches)
    raw = np.asarray(tensor.cpu().numpy(), dtype=np.float32)
    if model.calibration is None:
        return PatchProbabilities(raw, derivation)
    negative = model.classes.index(model.calibration.negative)
    positive = 1 - float(np.asarray(slide)[negative])
    scores = patch_scores(model.model, output, n_patches, negative=negative).cpu().numpy()
    score = model.calibration.score(scores)
    return PatchProbabilities(
        values=class_probabilities(positive * logistic(score), raw, negative),
        derivation=derivation,
        score=np.asarray(score, dtype=np.float32),
        calibration=model.calibration.reading(positive),
    )
