"""Metrics against numbers worked out by hand, and the threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_mil_engine.training.metrics import (
    auc,
    average_precision,
    choose_threshold,
    compute_metrics,
    predicted_classes,
)


def two(*positive: float) -> np.ndarray:
    p = np.array(positive)
    return np.stack([1 - p, p], axis=1)


def test_two_classes_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    metrics = compute_metrics(labels, two(0.1, 0.4, 0.8, 0.6, 0.9), threshold=0.5)
    assert metrics["accuracy"] == pytest.approx(4 / 5)
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert metrics["f1"] == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))
    assert metrics["auc"] == pytest.approx(5 / 6)  # of 6 pairs, 0.6 < 0.8 is the wrong way round
    assert metrics["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert metrics["brier"] == pytest.approx((0.01 + 0.16 + 0.64 + 0.16 + 0.01) / 5)
    assert compute_metrics(labels, two(0.1, 0.4, 0.8, 0.6, 0.9), threshold=0.85)["accuracy"] == pytest.approx(0.8)


def test_three_classes_are_averaged_one_against_the_rest() -> None:
    labels = np.array([0, 1, 2, 0, 1, 2])
    good = np.full((6, 3), 0.1)
    good[np.arange(6), labels] = 0.8
    metrics = compute_metrics(labels, good)
    assert (metrics["accuracy"], metrics["auc"], metrics["f1"], metrics["average_precision"]) == (1, 1, 1, 1)
    assert metrics["brier"] == pytest.approx(0.2**2 + 2 * 0.1**2)
    swapped = good.copy()
    swapped[[0, 1]] = good[[1, 0]]  # the first slide of class 0 and of class 1 change places
    metrics = compute_metrics(labels, swapped)
    assert metrics["accuracy"] == pytest.approx(4 / 6)
    # classes 0 and 1: positives 0.8, 0.1 against 0.8, 0.1, 0.1, 0.1 are 5 of 8 pairs (ties count half)
    assert metrics["auc"] == pytest.approx((5 / 8 + 5 / 8 + 1) / 3)


def test_one_class_has_no_auc() -> None:
    metrics = compute_metrics(np.array([1, 1]), two(0.2, 0.7))
    assert math.isnan(metrics["auc"])
    assert math.isnan(metrics["average_precision"])
    assert metrics["accuracy"] == 0.5


def test_calibration_by_hand() -> None:
    # confidences 0.9 (right), 0.9 (wrong), 0.65 (right): |0.9 - 0.5| x 2/3 + |0.65 - 1| x 1/3
    value = compute_metrics(np.array([1, 0, 0]), two(0.9, 0.9, 0.35))["ece"]
    assert value == pytest.approx(0.4 * 2 / 3 + 0.35 / 3)


def test_threshold_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1])
    scores = np.array([0.1, 0.2, 0.3, 0.6, 0.55, 0.9])
    assert choose_threshold(labels, scores, rule="youden") == pytest.approx(0.5)  # 3/4 + 1 - 1
    skewed = np.array([0.01, 0.02, 0.03, 0.04, 0.06, 0.09])
    assert choose_threshold(labels, skewed) == pytest.approx(0.05)
    uneven = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    mixed = np.array([0.1, 0.1, 0.1, 0.1, 0.4, 0.4, 0.3, 0.8])
    assert choose_threshold(uneven, mixed, rule="accuracy") == pytest.approx(0.5)  # 7 of 8
    assert choose_threshold(uneven, mixed, rule="youden") == pytest.approx(0.2)  # 1 + 4/6 - 1 > 1/2


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.01, 0.99)), min_size=2, max_size=30).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    ),
    st.sampled_from(["youden", "accuracy"]),
)
def test_no_threshold_is_better_than_the_chosen_one(rows: list[tuple[bool, float]], rule: str) -> None:
    labels = np.array([int(label) for label, _ in rows])
    scores = np.array([score for _, score in rows])

    def quality(threshold: float) -> float:
        called = predicted_classes(two(*scores), threshold=threshold)
        if rule == "accuracy":
            return float((called == labels).mean())
        return float(called[labels == 1].mean() - called[labels == 0].mean())

    chosen = quality(choose_threshold(labels, scores, rule=rule))
    assert all(chosen >= quality(other) - 1e-9 for other in [0.5, *scores, *(scores + 1e-9)])


@pytest.mark.parametrize("n_classes", [2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_scikit_learn(n_classes: int, seed: int) -> None:
    from sklearn import metrics

    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(30) % n_classes)
    p = np.round(rng.dirichlet(np.ones(n_classes), 30), 1) + 1e-9 * rng.random((30, 1))
    called = predicted_classes(p)
    found = compute_metrics(labels, p)
    average = "binary" if n_classes == 2 else "macro"
    onehot = np.eye(n_classes)[labels]
    columns = [1] if n_classes == 2 else range(n_classes)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, called))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, called))
    assert found["f1"] == pytest.approx(metrics.f1_score(labels, called, average=average))
    for name, score in (("auc", metrics.roc_auc_score), ("average_precision", metrics.average_precision_score)):
        assert found[name] == pytest.approx(np.mean([score(onehot[:, c], p[:, c]) for c in columns]))
    assert auc(labels == 1, p[:, 1]) == pytest.approx(metrics.roc_auc_score(labels == 1, p[:, 1]))
    precision = metrics.average_precision_score(labels == 1, p[:, 1])
    assert average_precision(labels == 1, p[:, 1]) == pytest.approx(precision)


def test_a_score_that_is_no_number_has_no_auc() -> None:
    truth = np.array([True, False, True])
    assert math.isnan(auc(truth, np.array([0.1, np.nan, 0.3])))
    assert math.isnan(auc(np.ones(3, dtype=bool), np.array([0.1, 0.2, 0.3])))
    assert math.isnan(average_precision(np.zeros(0, dtype=bool), np.zeros(0)))
