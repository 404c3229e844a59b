"""Two derivations of a patch's class probability from a bag classifier (methods §3)."""

from __future__ import annotations

import torch
from torch import Tensor

from .aggregator import Aggregator, AggregatorOutput


def instance_probability(model: Aggregator, output: AggregatorOutput, n_patches: int) -> Tensor:
    """Head on the instance embedding: softmax over the classes of w_c . h_i + b_c -> (N, C).

    Each patch is taken for a bag of its own; attention plays no part. Every model with a head has it.
    """
    return torch.softmax(model.patch_logits(output, n_patches), dim=-1)


def class_activation_probability(model: Aggregator, output: AggregatorOutput, n_patches: int) -> Tensor | None:
    """Class activation (DTFD-MIL, Zhang et al. 2022, Eq. 7-9): softmax of w_c . (T a_i h_i) -> (N, C).

    The bag embedding is the mean of the T instances T a_i h_i, so the gradient of logit c by each of them is w_c
    up to a factor: the signal of class c is w_c . (T a_i h_i), T times the evidence, without bias. A patch that
    the model does not look at has the same probability for every class.

    Returns
    -------
    Tensor or None
        None where the model is not a softmax pooling with a linear head, and has none inside.
    """
    parts = model.activation_parts(output)
    if parts is None:
        return None
    scores, values = parts
    attention = torch.softmax(scores, dim=0)
    signal = len(attention) * attention[:n_patches, None] * values[:n_patches]
    return torch.softmax(signal, dim=-1)


def patch_probability(model: Aggregator, output: AggregatorOutput, n_patches: int) -> tuple[Tensor, str]:
    """(N, C) by the derivation that the model's settings name, and the name of the one that was used.

    A model without class activation gives the instance probability, under that name.
    """
    if model.settings.patch_probability == "class-activation":
        activation = class_activation_probability(model, output, n_patches)
        if activation is not None:
            return activation, "class-activation"
    return instance_probability(model, output, n_patches), "instance"
