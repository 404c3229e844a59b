"""One training, from the first step to the best weights; independent of the model."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from ..errors import ModelError
from ..mil.aggregator import Aggregator
from ..progress import Progress, ProgressCallback, silent
from ..settings import TrainSettings
from .bag_store import Example, bags_of, in_order, labels_of
from .calibration import at_temperature
from .metrics import compute_metrics
from .optimization import (
    History,
    Row,
    best_row,
    clip_gradients,
    make_optimizer,
    rate_of,
    set_rate,
    should_stop,
)
from .progress_file import read_progress, restore, save_progress


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Predictions of n slides: probabilities (n, C), labels (n,), and the mean cross-entropy."""

    probabilities: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    loss: float

    def at_temperature(self, temperature: float) -> Evaluation:
        """Return the predictions with the logits divided by the temperature."""
        probabilities = at_temperature(self.probabilities, temperature)
        of_label = probabilities[np.arange(len(self.labels)), self.labels]
        loss = self.loss if temperature == 1 else float(-np.log(np.maximum(of_label, 1e-300)).mean())
        return Evaluation(probabilities, self.labels, loss)


def fit(
    model: Aggregator,
    train: Sequence[Example],
    val: Sequence[Example],
    *,
    settings: TrainSettings,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Row], None] | None = None,
    progress: ProgressCallback = silent,
) -> History:
    """Train ``model`` in place, stage after stage; it ends with the best weights of its last stage.

    In each of the model's stages: a fresh optimiser over what requires gradients, one bag per step, a rate that
    falls over the epochs (methods §2). A stage stops when the validation loss has not improved for ``patience``
    epochs and ``min_epochs`` are done; its best weights go into the next.

    Parameters
    ----------
    checkpoint
        File that holds everything after every epoch; if it exists, training goes on from there and gives the
        numbers that it would have given without the break.
    on_epoch
        Called with the row of every epoch that is trained now.

    Returns
    -------
    list of dict
        One row per epoch: epoch, stage (only where the model has several), lr, train_loss, train_TERM for every
        term of the loss, val_loss, val_auc.

    Raises
    ------
    ModelError
        If the loss is no longer a finite number, or the checkpoint cannot be gone on from.
    """
    saved = read_progress(checkpoint)
    history: History = [] if saved is None else saved["history"]
    first = 0 if saved is None else model.stages.index(saved["stage"])
    for number, stage in enumerate(model.stages[first:], start=first):
        model.enter_stage(stage)
        if saved is None:
            prepare(model, train)
        optimizer = make_optimizer(model, settings)
        best = copy.deepcopy(model.state_dict()) if saved is None else restore(saved, model, optimizer, checkpoint)
        saved = None
        rows = [row for row in history if row.get("stage", stage) == stage]
        for epoch in range(len(rows), settings.epochs):
            if should_stop(rows, settings):
                break
            rate = rate_of(epoch, settings)
            set_rate(optimizer, rate)
            start = Progress("train", number * settings.epochs + epoch, len(model.stages) * settings.epochs)
            losses = train_epoch(model, train, optimizer, settings=settings, start=start, progress=progress)
            result = evaluate(model, val, settings=settings)
            auc = compute_metrics(result.labels, result.probabilities)["auc"]
            named = {"stage": stage} if len(model.stages) > 1 else {}
            row = {"epoch": len(history), **named, "lr": rate, **losses, "val_loss": result.loss, "val_auc": auc}
            rows.append(row)
            history.append(row)
            if best_row(rows, settings) is row:
                best = copy.deepcopy(model.state_dict())
            save_progress(checkpoint, model, optimizer, stage=stage, history=history, best=best)
            if on_epoch is not None:
                on_epoch(row)
        model.load_state_dict(best)
    return history


def train_epoch(
    model: Aggregator,
    examples: Sequence[Example],
    optimizer: torch.optim.Optimizer,
    *,
    settings: TrainSettings,
    start: Progress,
    progress: ProgressCallback = silent,
) -> Row:
    """Take a step after every ``accumulate`` bags, in random order; return the means of the loss and of its terms.

    ``start`` counts epochs: those done, and all there may be. Balanced by ``weights``, the loss of a slide is
    multiplied by n / (C n_c), n_c of the n slides being of its class; by ``sampling``, as many slides as there are
    are drawn with replacement, each class as often. The terms are those of the slides as they are.
    """
    model.train()
    sums: dict[str, torch.Tensor] = {}
    n = len(examples)
    message = f"epoch {start.done + 1}"
    weights = class_weights(examples)
    optimizer.zero_grad()
    for step, example in enumerate(in_order(examples, _order(examples, weights, settings))):
        progress(Progress(start.stage, start.done * n + step, start.total * n, unit="bags", message=message))
        with autocast(example.label.device, settings):
            loss = model.loss(example.bag, example.label)
        weight = float(weights[int(example.label)]) if settings.balance == "weights" else 1.0
        torch.autograd.backward(loss.total * (weight / settings.accumulate))
        if (step + 1) % settings.accumulate == 0 or step + 1 == n:
            clip_gradients(model, settings)
            optimizer.step()
            optimizer.zero_grad()
            model.after_step()
        for name, value in {"loss": loss.total, **loss.terms}.items():
            sums[name] = sums.get(name, 0.0) + value.detach()
    means = {f"train_{name}": float(total) / n for name, total in sums.items()}
    if not math.isfinite(means["train_loss"]):
        raise ModelError(
            f"the loss is {means['train_loss']} in {message}", hint="Lower the learning rate and check the bags"
        )
    return means


def class_weights(examples: Sequence[Example]) -> npt.NDArray[np.float64]:
    """(C,) n / (C n_c) for the classes that are there (King and Zeng 2001): their mean over the slides is 1."""
    counts = np.bincount(labels_of(examples))
    there = counts > 0
    weights = np.zeros(len(counts))
    weights[there] = counts.sum() / (there.sum() * counts[there])
    return weights


def _order(examples: Sequence[Example], weights: npt.NDArray[np.float64], settings: TrainSettings) -> list[int]:
    """Places of the slides of an epoch, in their order."""
    n = len(examples)
    if settings.balance != "sampling":
        order: list[int] = torch.randperm(n).tolist()
        return order
    drawn: list[int] = torch.multinomial(
        torch.from_numpy(weights[labels_of(examples)]), n, replacement=True
    ).tolist()
    return drawn


@torch.inference_mode()
def evaluate(
    model: Aggregator, examples: Sequence[Example], *, settings: TrainSettings | None = None
) -> Evaluation:
    """Predict every bag, unmasked, in evaluation mode; without ``settings`` in full precision."""
    model.eval()
    logits, labels = [], []
    for example in in_order(examples, range(len(examples))):
        with autocast(example.label.device, settings):
            logits.append(model(example.bag).logits.float())
        labels.append(example.label)
    stacked, targets = torch.stack(logits), torch.stack(labels)
    return Evaluation(
        probabilities=torch.softmax(stacked.cpu().double(), dim=1).numpy(),
        labels=targets.cpu().numpy(),
        loss=float(cross_entropy(stacked, targets)),
    )


@torch.no_grad()
def prepare(model: Aggregator, train: Sequence[Example]) -> None:
    """Let the model take from the training bags what its stage needs."""
    model.eval()
    model.prepare_stage(bags_of(train))


def autocast(device: torch.device, settings: TrainSettings | None) -> torch.autocast:
    """Run matrix products on CUDA in bfloat16 where the settings ask for it; elsewhere change nothing."""
    wanted = settings is not None and settings.precision == "bf16" and device.type == "cuda"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)


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
