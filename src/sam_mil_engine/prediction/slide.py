"""A trained model and a bag -> what the model says of the slide, and where in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..bag.feature_bag import FeatureBag
from ..errors import BagError, ModelError
from ..mil.aggregator import AggregatorOutput, BagTensors
from ..mil.counterfactual import logits_of_groups, logits_of_parts, logits_without_groups
from ..mil.score_files import read_scores, save_scores
from ..mil.scores import FloatVector, GroupScores, SlideScores
from ..training.checkpoint import TrainedModel
from ..training.expects import MPP_TOLERANCE, Expects
from .patch_probabilities import patch_probabilities
from .segments import segments_text

__all__ = ["best_fit", "check_bag", "predict", "predict_only", "predict_without", "read_scores", "save_scores"]

#: Up to this ratio of their distances, two models are equally near to a slide.
AS_NEAR = 1.2


@torch.inference_mode()
def predict(model: TrainedModel, bag: FeatureBag) -> SlideScores:
    """Score a slide, its patches and its groups (methods §3).

    Parameters
    ----------
    model
        From :func:`sam_mil_engine.load_model`.
    bag
        N patches of one slide; groups are scored where it has them.

    Returns
    -------
    SlideScores
        ``attrs`` holds ``model``, ``patch_probability`` (the derivation used), the bag's ``encoder``,
        ``patch_size``, ``size_px0``, ``mpp`` (as far as known), and ``notes``: what a reader must know of this
        result.

    Raises
    ------
    ModelError
        If the bag has another encoder, feature width, patch size or resolution than the model expects.
    BagError
        If the bag's numbers make no sense.

    Examples
    --------
    Goes on from the slides of :mod:`sam_mil_engine`:

    >>> import sam_mil_engine as sme
    >>> model = sme.load_model("study/runs/first", device="cpu")
    >>> bag = sme.read_bag("study/bags/synthetic-001.h5")
    >>> scores = sme.predict(model, bag)
    >>> scores.predicted in scores.classes, scores.patch_probability.shape == (len(bag), 2)
    (True, True)
    >>> round(float(scores.probabilities.sum()), 5), round(float(scores.attention.sum()), 5) <= 1
    (1.0, True)
    """
    notes = check_bag(model, bag.check())
    net = model.model.eval()
    tensors = BagTensors.of(bag, device=model.device)
    output = net(tensors)
    n = len(bag)
    probabilities = _array(model.probabilities(output.logits))
    patches = patch_probabilities(model, output, n, probabilities)
    evidence = None if output.evidence is None else _array(output.evidence[:n])
    if net.group_tokens and bag.groups is None:
        notes.append("the bag has no groups: the model saw patches only")
    notes += _what_it_says(model, output)
    groups = None
    if bag.groups is not None:
        without = model.probabilities(logits_without_groups(net, tensors, output))
        only = model.probabilities(logits_of_groups(net, tensors, output))
        groups = _group_scores(bag, output, patches.values, without=_array(without), only=_array(only))
    return SlideScores(
        slide_id=bag.slide_id,
        classes=model.classes,
        coords_px0=bag.coords_px0,
        probabilities=probabilities,
        attention=None if output.attention is None else _array(output.attention[:n]),
        evidence=evidence,
        patch_probability=patches.values,
        logits=_array(output.logits),
        bias=_array(output.bias),
        groups=groups,
        threshold=model.threshold,
        domain_distance=None if model.domain is None else model.domain.distance(bag.features),
        patch_score=patches.score,
        calibration=patches.calibration,
        attrs={
            **_attributes(bag),
            "model": model.name,
            "patch_probability": patches.derivation,
            "notes": tuple(notes),
        },
    )


def predict_without(model: TrainedModel, bag: FeatureBag, groups: Sequence[int]) -> FloatVector:
    """Predict the slide without the patches of several groups at once (methods §3).

    Parameters
    ----------
    groups
        Numbers of groups of the bag.

    Returns
    -------
    (C,) probabilities, those of the model on the bag without this tissue; NaN where no patch stays.

    Raises
    ------
    BagError
        If the bag has no such group.
    ModelError
        As :func:`predict`.
    """
    return _predict_part(model, bag, groups, only=False)


def predict_only(model: TrainedModel, bag: FeatureBag, groups: Sequence[int]) -> FloatVector:
    """Predict the patches of one or several groups as a bag of their own; otherwise as :func:`predict_without`."""
    return _predict_part(model, bag, groups, only=True)


@torch.inference_mode()
def _predict_part(model: TrainedModel, bag: FeatureBag, groups: Sequence[int], *, only: bool) -> FloatVector:
    check_bag(model, bag.check())
    count = 0 if bag.groups is None else len(bag.groups)
    unknown = sorted({int(group) for group in groups if not 0 <= group < count})
    if unknown:
        raise BagError(
            f"there is no group {', '.join(map(str, unknown))}: the bag has {count} groups",
            where=str(bag.attrs.get("path", bag.slide_id)),
            hint="Groups are numbered from 0, in the order of the bag",
        )
    net, tensors = model.model.eval(), BagTensors.of(bag, device=model.device)
    logits = logits_of_parts(net, tensors, net(tensors), [list(groups)], only=only)[0]
    return _array(model.probabilities(logits))


def best_fit(models: Sequence[TrainedModel], bag: FeatureBag) -> TrainedModel:
    """Return the model whose domain is nearest to the slide, of those that expect such a bag.

    Raises
    ------
    ModelError
        If the bag has another encoder, feature width, patch size or resolution than every model expects.
    """
    found = Expects.of(bag)
    fitting = [model for model in models if model.expects.same_patches(found)]
    if not fitting:
        check_bag(models[0], bag)
    known = [(model.domain.distance(bag.features), model) for model in fitting if model.domain is not None]
    return nearest(known, fitting)


def nearest(
    known: Sequence[tuple[float, TrainedModel]], models: Sequence[TrainedModel], *, as_near: float = AS_NEAR
) -> TrainedModel:
    """Return the model with the smallest distance, relative to its limit; the first of all where none is known.

    Models up to ``as_near`` times as far count as near: far from all, the order of the models decides and not
    chance.
    """
    if not known:
        return models[0]
    least = min(distance for distance, _ in known)
    return next(model for distance, model in known if distance <= as_near * least)


def check_bag(model: TrainedModel, bag: FeatureBag) -> list[str]:
    """Return what is unknown or unusual about the bag, one sentence each.

    Raises
    ------
    ModelError
        If bag and model do not fit; both values are named.
    """
    wanted, found = model.expects, Expects.of(bag)
    where = str(bag.attrs.get("path", bag.slide_id))
    notes = []
    for name, meaning in (("encoder", "encoder"), ("dim", "feature width"), ("patch_size", "patch size")):
        ours, theirs = getattr(wanted, name), getattr(found, name)
        if ours is None or theirs is None:
            notes.append(f"{meaning} not compared: model {ours or 'unknown'}, bag {theirs or 'unknown'}")
        elif ours != theirs:
            raise _mismatch(model, meaning, ours, theirs, where)
    if wanted.mpp is None or found.mpp is None:
        notes.append(f"mpp not compared: model {wanted.mpp or 'unknown'}, bag {found.mpp or 'unknown'}")
    elif abs(found.mpp / wanted.mpp - 1) > MPP_TOLERANCE:
        raise _mismatch(model, "mpp", f"{wanted.mpp:.4g}", f"{found.mpp:.4g}", where)
    ours, theirs = segments_text(wanted), segments_text(found)
    if model.model.group_tokens and bag.groups is not None and ours != theirs:
        notes.append(f"the model was trained with segments from {ours}, those of the bag are from {theirs}")
    return notes


def _what_it_says(model: TrainedModel, output: AggregatorOutput) -> list[str]:
    """One sentence for everything that the model does not define, or only for one class."""
    name = model.settings.name
    parts = {"attention": output.attention, "evidence": output.evidence}
    notes = [f"{name} defines no {part}" for part, values in parts.items() if values is None]
    if output.attention_class is not None:
        of = model.classes[int(output.attention_class)]
        notes.append(f"{name} attends separately for every class: attention is that of the class {of}")
    return notes


def _mismatch(model: TrainedModel, meaning: str, ours: Any, theirs: Any, where: str) -> ModelError:
    return ModelError(
        f"the model {model.name} expects {meaning} {ours}, the bag has {theirs}",
        where=where,
        hint="Process the slide with the settings that the model was trained with, or choose another model",
    )


def _group_scores(
    bag: FeatureBag,
    output: AggregatorOutput,
    patches: FloatVector,
    *,
    without: FloatVector,
    only: FloatVector,
) -> GroupScores:
    """Sum the patches' scores over every group with the sparse membership matrix M (L, N)."""
    groups = bag.groups
    if groups is None:
        raise ValueError("the bag has no groups")
    n, count, n_classes = len(bag), len(groups), patches.shape[1]
    members = groups.matrix()

    def by_group(per_token: Tensor | None, shape: tuple[int, ...]) -> tuple[FloatVector, FloatVector]:
        """Sum over the patches and the token of each group, and the token's part; zeros where there is none."""
        own = np.zeros(shape, dtype=np.float32)
        if per_token is None:
            return own, own.copy()
        values = _array(per_token)
        if len(values) > n:
            own = values[n:]
        return _float32(members @ values[:n] + own), own

    attention_mass, token_attention = by_group(output.attention, (count,))
    evidence, token_evidence = by_group(output.evidence, (count, n_classes))
    return GroupScores(
        attention_mass=attention_mass,
        mean_probability=_float32(members @ patches / np.maximum(groups.sizes, 1)[:, None]),
        evidence=evidence,
        token_attention=token_attention,
        token_evidence=token_evidence,
        probability_without=without,
        probability_only=only,
    )


def _attributes(bag: FeatureBag) -> dict[str, Any]:
    names = ("encoder", "segmenter", "patch_size", "size_px0", "step_px0", "mpp", "tile_mpp", "path")
    return {name: bag.attrs[name] for name in names if bag.attrs.get(name) is not None}


def _array(tensor: Tensor) -> FloatVector:
    return _float32(tensor.cpu().numpy())


def _float32(values: npt.ArrayLike) -> FloatVector:
    return np.asarray(values, dtype=np.float32)
