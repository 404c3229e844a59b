"""Optimiser, learning rate and clipping of a training, and the epoch that it ends with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ..mil.aggregator import Aggregator
from ..settings import TrainSettings

#: One epoch: epoch (counted through all stages), stage (where a model has several), lr, losses, val_loss, val_auc.
Row = dict[str, Any]
History = list[Row]


def make_optimizer(model: Aggregator, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return a fresh optimiser over the parameters that require gradients now.

    RAdam (Liu et al. 2020) decays weights apart from the gradient, and is wrapped in Lookahead (Zhang et al. 2019)
    with 6 steps and a half, as in the code of TransMIL.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [{"params": trained}]
    if not settings.decay_biases:
        groups = [
            {"params": [parameter for parameter in trained if parameter.ndim > 1]},
            {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
        ]
    options: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": (settings.beta1, settings.beta2),
        "weight_decay": settings.weight_decay,
    }
    if settings.optimizer == "lookahead-radam":
        from timm.optim import Lookahead

        lookahead: torch.optim.Optimizer = Lookahead(
            torch.optim.RAdam(groups, decoupled_weight_decay=True, **options)
        )
        return lookahead
    kinds: dict[str, Any] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer: torch.optim.Optimizer = kinds[settings.optimizer](groups, **options)
    return optimizer


def rate_of(epoch: int, settings: TrainSettings) -> float:
    """Return the learning rate of ``epoch`` of a stage, from 0: half a cosine, one step, or always the same."""
    first, share = settings.learning_rate, epoch / settings.epochs
    if settings.schedule == "constant":
        return first
    if settings.schedule == "step":
        return first if share < settings.step_at else first * settings.step_factor
    return settings.last_rate + (first - settings.last_rate) * (1 + math.cos(math.pi * share)) / 2


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip_gradients(model: Aggregator, settings: TrainSettings) -> None:
    """Shorten the gradient of each part of the model to ``settings.clip``; nothing where that is 0."""
    if settings.clip:
        for part in model.clipped_parts():
            torch.nn.utils.clip_grad_norm_(part, settings.clip)


def should_stop(rows: Sequence[Row], settings: TrainSettings) -> bool:
    """Whether the validation loss of a stage with these epochs has stopped improving."""
    if not settings.patience or len(rows) < max(settings.min_epochs, 1):
        return False
    lowest = min(rows, key=lambda row: row["val_loss"])
    return int(rows[-1]["epoch"]) - int(lowest["epoch"]) >= settings.patience


def best_row(rows: Sequence[Row], settings: TrainSettings) -> Row:
    """Return the epoch of a stage that is kept: the first with the lowest validation loss, or the largest AUC.

    Of equal AUCs, or where there is none, the lower loss counts. Epochs before ``settings.best_from`` count only
    while there is no later one.
    """
    late = rows[math.ceil(settings.best_from * settings.epochs) :] or rows

    def rank(row: Row) -> tuple[float, float]:
        auc = float(row["val_auc"]) if settings.best_by == "auc" else 0.0
        return (0.0 if math.isnan(auc) else -auc, float(row["val_loss"]))

    return min(late, key=rank)


def best_epoch(history: History, settings: TrainSettings) -> int:
    """Return the epoch whose weights the training ended with: the best one of the last stage."""
    last = history[-1].get("stage")
    return int(best_row([row for row in history if row.get("stage") == last], settings)["epoch"])
