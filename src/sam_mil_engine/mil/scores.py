"""What a trained model says of one slide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .patch_calibration import CalibratedPatches

FloatVector = npt.NDArray[np.float32]


#: Probability of the last class from which a slide is called positive, where no threshold was chosen.
THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class GroupScores:
    """Scores of the L groups of a slide (methods §3).

    Attributes
    ----------
    attention_mass
        (L,) sum of the attention of the group's patches and of its own token.
    mean_probability
        (L, C) mean patch probability over the group's patches.
    evidence
        (L, C) summed evidence of the group's patches and of its own token.
    token_attention, token_evidence
        (L,), (L, C) of the group's own token alone; zero where the model has no group tokens.
    probability_without
        (L, C) prediction for the bag without the group's patches; the tokens of the other groups are the means of
        the patches that stay. NaN where no patch stays.
    probability_only
        (L, C) prediction for the group's patches as a bag of their own, or None (files of version 0.1).
    """

    attention_mass: FloatVector
    mean_probability: FloatVector
    evidence: FloatVector
    token_attention: FloatVector
    token_evidence: FloatVector
    probability_without: FloatVector
    probability_only: FloatVector | None = None


@dataclass(frozen=True, slots=True)
class SlideScores:
    """A prediction and where in the slide it comes from.

    Attributes
    ----------
    slide_id, classes
        Name of the slide, names of the C classes.
    coords_px0
        (N, 2) int32: top left corner of every patch.
    probabilities
        (C,) of the slide.
    attention
        (N,) softmax weights over all tokens, patches only: they sum to 1 where there are no group tokens.
        None where the model has no attention.
    evidence
        (N, C) signed contribution of every patch to the logits; with the groups' ``token_evidence`` and ``bias``
        it adds up to ``logits`` exactly. None where the model's head is not linear in its tokens.
    patch_probability
        (N, C) class probability of every patch: calibrated (``calibration``), else the raw one of the model.
    logits, bias
        (C,) the slide's logits, and the part of them that belongs to no token.
    groups
        Scores of the groups, or None where the bag has none.
    threshold
        Probability of the last class from which the slide is called positive (two classes), from validation data.
    domain_distance
        How far the slide's features lie from those the model was trained on, in units of the limit that validation
        slides set: above 1 the slide is outside. None where the model has no saved domain.
    patch_score
        (N,) log odds of tumour in a positive slide, by which patches are ranked; None where not calibrated.
    calibration
        How the patch probabilities are to be read, or None: they are raw, and their size means little.
    attrs
        Model name, encoder, patch size in level-0 pixels, mpp and so on.
    """

    slide_id: str
    classes: tuple[str, ...]
    coords_px0: npt.NDArray[np.int32]
    probabilities: FloatVector
    attention: FloatVector | None
    evidence: FloatVector | None
    patch_probability: FloatVector
    logits: FloatVector
    bias: FloatVector
    groups: GroupScores | None = None
    threshold: float = THRESHOLD
    domain_distance: float | None = None
    patch_score: FloatVector | None = None
    calibration: CalibratedPatches | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def predicted(self) -> str:
        """Name of the predicted class: by the threshold for two classes, by the largest probability beyond."""
        if len(self.classes) == 2:
            return self.classes[int(self.probabilities[1] >= self.threshold)]
        return self.classes[int(self.probabilities.argmax())]

    @property
    def calibrated(self) -> str:
        """``calibrated on 38 validation slides``, or ``raw``: what a patch probability is."""
        if self.calibration is None:
            return "raw"
        return f"calibrated on {self.calibration.slides} validation slides"

    def patch_threshold(self, column: int) -> float:
        """Probability of class ``column`` from which a patch is marked and counted.

        The operating point, which at most 1% of normal tissue reaches; where there is none, and for the negative
        class, the threshold of the slide.
        """
        if self.calibration is None or self.classes[column] == self.calibration.negative:
            return self.threshold
        return self.calibration.operating_point

    @property
    def warning(self) -> str | None:
        """One sentence where the slide is outside of what the model was trained on, else None."""
        if self.domain_distance is None or self.domain_distance <= 1:
            return None
        return (
            "outside the data that the model was trained on: the features lie"
            f" {self.domain_distance:.1f} times as far from its training slides as the limit;"
            " do not rely on class and probability"
        )

    @property
    def relative_attention(self) -> FloatVector | None:
        """(N,) attention in units of the mean patch's, also where group tokens take a part of the attention."""
        if self.attention is None:
            return None
        mean = self.attention.mean(dtype=np.float64)
        # without any attention on patches, all of them are alike
        return np.ones_like(self.attention) if mean == 0 else np.asarray(self.attention / mean, dtype=np.float32)
