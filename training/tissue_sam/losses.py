"""What is wrong with the answers: outlines against the nested truth, and the predicted IoU against the true one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch
from prompts import Prompts
from torch import Tensor
from torch.nn import functional as nnf

#: Weight of answers that were given to no truth: each moves to its nearest a little, so that none is idle.
_IDLE = 0.1
#: Weight of the error of the predicted IoU.
_SCORE = 0.5
#: Pixels of the embedding that are compared with all others, and the distance within which that counts.
_ASKED, _NEAR = 128, 10.0


def loss_of(logits: Tensor, predicted_iou: Tensor, prompts: Prompts) -> tuple[Tensor, float]:
    """Loss of B prompts, and the mean IoU of the answers that were given to a truth.

    Parameters
    ----------
    logits
        (B, 4, 128, 128): the single answer, then three from part to whole.
    predicted_iou
        (B, 4).
    """
    answers = logits[:, :1] if prompts.single else logits[:, 1:]
    scores = predicted_iou[:, :1] if prompts.single else predicted_iou[:, 1:]
    total = logits.new_zeros(())
    reached: list[float] = []
    for answer, score, masks in zip(answers, scores, prompts.wanted, strict=True):
        wanted = nnf.avg_pool2d(torch.from_numpy(np.stack(masks)).float()[None], 2)[0]
        costs = _costs(answer, wanted)
        iou = _ious(answer.detach(), wanted)
        chosen = _in_order(costs.detach())
        total = total + sum(costs[a, t] for t, a in enumerate(chosen)) / len(chosen)
        idle = [a for a in range(len(answer)) if a not in chosen]
        if idle:
            total = total + _IDLE * costs[idle].min(dim=1).values.mean()
        # small masks are many: a good one and a bad one should count alike at every size
        total = total + _SCORE * nnf.mse_loss(score, iou.max(dim=1).values) * 4
        reached += [float(iou[a, t]) for t, a in enumerate(chosen)]
    return total / len(prompts.wanted), float(np.mean(reached))


def alikeness(embedding: Tensor, truth: npt.NDArray[np.uint8], rng: np.random.Generator, *, groups: int) -> Tensor:
    """Loss of the embedding by itself: group k of its channels tells things of level k from their surroundings.

    A prompted answer costs a decoder; this asks hundreds of pixels at once, since the decoder compares by cosines.

    Parameters
    ----------
    embedding
        (1, C, h, w).
    truth
        (4, 4 h, 4 w): parts, objects, regions, pieces.
    """
    height, width = embedding.shape[-2:]
    levels = torch.from_numpy(truth[:, 2::4, 2::4].reshape(4, -1).astype(np.int64))
    places = (
        torch.from_numpy(np.flatnonzero(levels[3].numpy())) if levels[3].any() else torch.arange(height * width)
    )
    asked = places[torch.from_numpy(rng.integers(len(places), size=_ASKED))]
    units = nnf.normalize(embedding[0].flatten(1).unflatten(0, (groups, -1)), dim=1)
    logits = (torch.einsum("gca,gcn->gan", units[:, :, asked], units) - 0.5) * 8
    same = ((levels[:, asked, None] == levels[:, None, :]) & (levels[:, asked, None] > 0)).float()
    rows, columns = torch.arange(height * width) // width, torch.arange(height * width) % width
    distance = torch.hypot((rows[asked, None] - rows).float(), (columns[asked, None] - columns).float())
    # what is near must be told apart; what is far, the clicks' places tell apart
    weight = 0.05 + torch.exp(-((distance / _NEAR) ** 2))
    entropy = nnf.binary_cross_entropy_with_logits(logits, same, reduction="none")
    inside, outside = weight * same, weight * (1 - same)
    known = (inside.sum(dim=2) > 0).float()
    each = (entropy * inside).sum(dim=2) / inside.sum(dim=2).clamp(min=1e-3)
    each = each + (entropy * outside).sum(dim=2) / outside.sum(dim=2).clamp(min=1.0)
    return ((each * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)).sum()


def _costs(answers: Tensor, wanted: Tensor) -> Tensor:
    """(A, h, w) and (T, h, w) -> cost (A, T): Dice and cross-entropy, the latter by the size of what is wanted."""
    a, t = answers.flatten(1), wanted.flatten(1)
    p = a.sigmoid()
    common = p @ t.T
    dice = 1 - (2 * common + 1) / (p.sum(dim=1, keepdim=True) + t.sum(dim=1) + 1)
    entropy = nnf.softplus(a).sum(dim=1, keepdim=True) - a @ t.T
    return dice + entropy / (3 * t.sum(dim=1) + 300)


def _ious(answers: Tensor, wanted: Tensor) -> Tensor:
    a, t = (answers > 0).flatten(1).float(), (wanted > 0.5).flatten(1).float()
    common = a @ t.T
    return common / (a.sum(dim=1, keepdim=True) + t.sum(dim=1) - common).clamp(min=1)


def _in_order(costs: Tensor) -> tuple[int, ...]:
    """Which answer each truth gets: smaller truths get earlier answers, and of such the cheapest choice."""
    n_answers, n_wanted = costs.shape
    rows = costs.tolist()
    return min(
        combinations(range(n_answers), n_wanted), key=lambda some: sum(rows[a][t] for t, a in enumerate(some))
    )
