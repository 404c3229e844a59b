"""One training, from the first step to the best weights. Knows no model by name."""

from __future__ import annotations

import copy
import math
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from ..errors import ModelError
from ..files import atomic_path
from ..mil.aggregator import Aggregator
from ..progress import Progress, ProgressCallback, silent
from ..settings import TrainSettings
from .data import Example
from .metrics import compute_metrics

History = list[dict[str, float]]
Weights = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Predictions of n slides: probabilities (n, C), labels (n,), and the mean cross-entropy."""

    probabilities: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    loss: float


def fit(
    model: Aggregator,
    train: Sequence[Example],
    val: Sequence[Example],
    *,
    settings: TrainSettings,
    checkpoint: Path | None = None,
    progress: ProgressCallback = silent,
) -> History:
    """Train ``model`` in place; it ends with the weights of the epoch with the lowest validation loss.

    Adam, one bag a step, the rate falls with a cosine over the epochs (methods §2). Training stops when the
    validation loss has not improved for ``patience`` epochs and ``min_epochs`` are done.

    Parameters
    ----------
    checkpoint
        File that holds everything after every epoch; if it exists, training goes on from there and gives the
        numbers that it would have given without the break.

    Returns
    -------
    list of dict
        One row an epoch: epoch, lr, train_loss, train_TERM for every term of the loss, val_loss, val_auc.

    Raises
    ------
    ModelError
        If the loss is no longer a finite number.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    history, best = _resume(checkpoint, model, optimizer)
    for epoch in range(len(history), settings.epochs):
        if _is_over(history, settings):
            break
        rate = settings.learning_rate * (1 + math.cos(math.pi * epoch / settings.epochs)) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate
        losses = train_epoch(model, train, optimizer, epoch=epoch, epochs=settings.epochs, progress=progress)
        result = evaluate(model, val)
        auc = compute_metrics(result.labels, result.probabilities)["auc"]
        history.append({"epoch": epoch, "lr": rate, **losses, "val_loss": result.loss, "val_auc": auc})
        if best_epoch(history) == epoch:
            best = copy.deepcopy(model.state_dict())
        _save(checkpoint, model, optimizer, history=history, best=best)
    model.load_state_dict(best)
    return history


def train_epoch(
    model: Aggregator,
    examples: Sequence[Example],
    optimizer: torch.optim.Optimizer,
    *,
    epoch: int = 0,
    epochs: int = 1,
    progress: ProgressCallback = silent,
) -> dict[str, float]:
    """Take one step a bag, in random order; return the mean loss and the mean of each of its terms."""
    model.train()
    sums: dict[str, torch.Tensor] = {}
    n = len(examples)
    for step, index in enumerate(torch.randperm(n).tolist()):
        progress(Progress("train", epoch * n + step, epochs * n, unit="bags", message=f"epoch {epoch + 1}"))
        example = examples[index]
        loss = model.loss(example.bag, example.label)
        optimizer.zero_grad()
        torch.autograd.backward(loss.total)
        optimizer.step()
        model.after_step()
        for name, value in {"loss": loss.total, **loss.terms}.items():
            sums[name] = sums.get(name, 0.0) + value.detach()
    means = {f"train_{name}": float(total) / n for name, total in sums.items()}
    if not math.isfinite(means["train_loss"]):
        raise ModelError(
            f"the loss is {means['train_loss']} in epoch {epoch + 1}",
            hint="Lower the learning rate, check the bags",
        )
    return means


@torch.inference_mode()
def evaluate(model: Aggregator, examples: Sequence[Example]) -> Evaluation:
    """Predict every bag, unmasked, in evaluation mode."""
    model.eval()
    logits = torch.stack([model(example.bag).logits for example in examples])
    labels = torch.stack([example.label for example in examples])
    return Evaluation(
        probabilities=torch.softmax(logits.double().cpu(), dim=1).numpy(),
        labels=labels.cpu().numpy(),
        loss=float(cross_entropy(logits, labels)),
    )


def best_epoch(history: History) -> int:
    """Return the first epoch with the lowest validation loss."""
    return min(range(len(history)), key=lambda epoch: history[epoch]["val_loss"])


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Make torch's random numbers inside the block depend on ``seed`` alone, and leave those outside as they were.

    On CUDA, torch's deterministic kernels are chosen, so that sums do not depend on the order of threads.
    """
    cuda = device.type == "cuda"
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.manual_seed(seed)
        if cuda:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


def _is_over(history: History, settings: TrainSettings) -> bool:
    if len(history) < max(settings.min_epochs, 1):
        return False
    return len(history) - 1 - best_epoch(history) >= settings.patience


def _save(
    file: Path | None, model: Aggregator, optimizer: torch.optim.Optimizer, *, history: History, best: Weights
) -> None:
    if file is None:
        return
    state = {
        "model": model.state_dict(),
        "best": best,
        "optimizer": optimizer.state_dict(),
        "history": history,
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }
    with atomic_path(file) as temporary:
        torch.save(state, temporary)


def _resume(file: Path | None, model: Aggregator, optimizer: torch.optim.Optimizer) -> tuple[History, Weights]:
    """Put everything back as the file says; without a file, start with no history."""
    if file is None or not file.exists():
        return [], copy.deepcopy(model.state_dict())
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda_rng"])
        return state["history"], state["best"]
    except (OSError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"the training cannot go on from here ({reason})", where=file, hint="Delete this file to start again"
        ) from error
