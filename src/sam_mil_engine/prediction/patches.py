"""Scores and attention of the patches of several slides: what histograms and strips of patches are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ..bag.h5 import read_bag
from ..mil.bag_tensors import BagTensors
from ..mil.patch_probability import patch_probability
from ..mil.patch_scores import patch_scores
from ..mil.scores import FloatVector
from ..progress import Progress, ProgressCallback, silent
from ..training.checkpoint import TrainedModel
from .slide import check_bag


@dataclass(frozen=True, slots=True)
class SlidePatches:
    """The N patches of one slide.

    Attributes
    ----------
    slide_id, label
        Names of the slide and of its class.
    bag_path
        Its bag, or None where that is not known.
    coords_px0
        (N, 2) corners.
    attention
        (N,) attention in units of the mean patch; None where the model has none.
    score
        (N,) log odds of tumour in a positive slide where the model is calibrated, else the raw probability of not
        being of the negative class.
    """

    slide_id: str
    label: str
    bag_path: Path | None
    coords_px0: npt.NDArray[np.int32]
    attention: FloatVector | None
    score: FloatVector


def patches_of_slides(
    model: TrainedModel,
    slides: Sequence[tuple[str, str, Path]],
    *,
    negative: int,
    progress: ProgressCallback = silent,
) -> list[SlidePatches]:
    """Score the patches of slides.

    Parameters
    ----------
    slides
        (slide, class, bag file); slides without a bag are left out.
    negative
        Place of the negative class.

    Raises
    ------
    ModelError
        If a bag is not what the model expects.
    """
    found = []
    for done, (slide_id, label, path) in enumerate(slides):
        progress(Progress("patches", done, len(slides), unit="slides", message=slide_id))
        if path.is_file():
            found.append(_patches(model, slide_id, label, path, negative))
    return found


@torch.inference_mode()
def _patches(model: TrainedModel, slide_id: str, label: str, path: Path, negative: int) -> SlidePatches:
    bag = read_bag(path)
    check_bag(model, bag)
    net, n = model.model.eval(), len(bag)
    output = net(BagTensors.of(bag, device=model.device))
    if model.calibration is None:
        score = patch_probability(net, output, n)[0][:, negative].neg().add(1).cpu().numpy()
    else:
        score = model.calibration.score(patch_scores(net, output, n, negative=negative).cpu().numpy())
    attention = None
    if output.attention is not None:
        weights = output.attention[:n].cpu().numpy()
        mean = weights.mean(dtype=np.float64)
        attention = np.asarray(weights / mean if mean > 0 else np.ones(n), dtype=np.float32)
    return SlidePatches(
        slide_id=slide_id,
        label=label,
        bag_path=path,
        coords_px0=bag.coords_px0,
        attention=attention,
        score=np.asarray(score, dtype=np.float32),
    )
