"""What the studies share: one training of one model on given bags, and tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sam_mil_engine.mil.aggregator import Aggregator
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.settings import TrainSettings
from sam_mil_engine.training.bag_store import Example
from sam_mil_engine.training.fitting import Evaluation, evaluate, fit, seeded
from sam_mil_engine.training.metrics import choose_threshold


@dataclass(frozen=True)
class Tested:
    """The trained model, its predictions of the test bags, and the threshold that the validation bags chose."""

    model: Aggregator
    test: Evaluation
    threshold: float

    @property
    def positive(self) -> np.ndarray:
        return self.test.probabilities[:, 1]

    @property
    def called(self) -> np.ndarray:
        return (self.positive >= self.threshold).astype(np.int64)


def train_and_test(
    train: Sequence[Example],
    val: Sequence[Example],
    test: Sequence[Example],
    *,
    settings: TrainSettings,
    seed: int,
) -> Tested:
    """The engine's own loop: the epoch and the threshold are chosen on ``val`` alone, ``test`` is read once."""
    with seeded(seed, torch.device("cpu")):
        model = build_aggregator(settings.model, dim=train[0].bag.width, n_classes=2)
        fit(model, train, val, settings=settings)
        chosen = evaluate(model, val)
        threshold = choose_threshold(chosen.labels, chosen.probabilities[:, 1])
        return Tested(model, evaluate(model, test), threshold)


def spread(values: Sequence[float]) -> str:
    """Mean and sample deviation of what is a number."""
    finite = np.array([value for value in values if np.isfinite(value)])
    if len(finite) < 2:
        return "none"
    return f"{finite.mean():.3f} ± {finite.std(ddof=1):.3f}"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
