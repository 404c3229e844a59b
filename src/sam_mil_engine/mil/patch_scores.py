"""Scores by which patches are ranked, before any calibration (methods §3)."""

from __future__ import annotations

import torch
from torch import Tensor

from .aggregator import Aggregator, AggregatorOutput

#: The columns of :func:`patch_scores`, in their order.
SCORES = ("instance", "attention")


def patch_scores(model: Aggregator, output: AggregatorOutput, n_patches: int, *, negative: int) -> Tensor:
    """(N, 1) or (N, 2): what the head says of each patch, and its attention before the softmax where there is one.

    ``instance`` is the log odds of not being of the negative class, from the head on the patch embedding.
    ``attention`` is the score in front of the softmax: unlike the weight behind it, it is not relative to a slide.

    Parameters
    ----------
    negative
        Position of the negative class.
    """
    logits = model.patch_logits(output, n_patches).float()
    others = torch.arange(logits.shape[1], device=logits.device) != negative
    columns = [torch.logsumexp(logits[:, others], dim=1) - logits[:, negative]]
    parts = model.activation_parts(output)
    if parts is not None and output.attention is not None:
        columns.append(parts[0][:n_patches].float())
    return torch.stack(columns, dim=1)
