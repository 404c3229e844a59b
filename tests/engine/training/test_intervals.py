"""Bootstrap and DeLong's test, against scikit-learn and against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from sam_mil_engine.training.bootstrap import (
    FloatArray,
    Scored,
    interval,
    resample,
    resample_metrics,
    two_sided,
)
from sam_mil_engine.training.delong import delong
from sam_mil_engine.training.metrics import compute_metrics, weighted_auc, weighted_average_precision


def made_up(n: int, n_classes: int, seed: int) -> Scored:
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n)
    p = rng.dirichlet(np.ones(n_classes), size=n).round(1)  # rounded: scores are tied
    p[:, 0] = 1 - p[:, 1:].sum(axis=1)
    return Scored([f"s{i}" for i in range(n)], labels, rng.integers(n_classes, size=n), p)


@settings(max_examples=25)
@example(n=5, n_classes=2, seed=97)  # a resample of positives alone
@example(n=5, n_classes=2, seed=4)  # one class, all called right
@given(n=st.integers(5, 40), n_classes=st.integers(2, 4), seed=st.integers(0, 10_000))
def test_figures_of_a_resample_are_those_of_the_slides_drawn(n: int, n_classes: int, seed: int) -> None:
    scored = made_up(n, n_classes, seed)
    weights = resample(scored.slides, resamples=6, seed=seed)
    assert (weights.sum(axis=1) == n).all()
    found = resample_metrics(scored, weights)
    for number, row in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(n), row)
        expected = compute_metrics(
            scored.labels[drawn], scored.probabilities[drawn], predicted=scored.predicted[drawn]
        )
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name][number], value, atol=1e-9, err_msg=name)


def test_all_rows_of_a_slide_are_drawn_together() -> None:
    weights = resample(["a", "b", "a", "c", "b", "a"], resamples=50, seed=1)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_weighted_areas_are_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive, scores = np.arange(20) % 3 == 0, rng.integers(6, size=20) / 5
    weights = rng.random((3, 20)) + 0.01
    for row, area, precision in zip(
        weights,
        weighted_auc(positive, scores, weights),
        weighted_average_precision(positive, scores, weights),
        strict=True,
    ):
        assert area == pytest.approx(roc_auc_score(positive, scores, sample_weight=row))
        assert precision == pytest.approx(average_precision_score(positive, scores, sample_weight=row))


def test_interval_and_p_value_by_hand() -> None:
    low, high = interval(np.arange(101.0))
    assert (low, high) == pytest.approx((2.5, 97.5))
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1, 1)
    assert all(map(math.isnan, interval(np.array([np.nan]))))
    assert two_sided(np.array([1.0] * 98 + [-1.0])) == pytest.approx(2 * 2 / 100)
    assert two_sided(np.array([1.0, -1.0, 0.0])) == 1
    assert math.isnan(two_sided(np.array([np.nan])))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """95% intervals of an accuracy of 0.7: about 95 of 100 hold it."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(100):
        labels = np.zeros(200, dtype=np.int64)
        predicted = (rng.random(200) > 0.7).astype(np.int64)
        scored = Scored([str(i) for i in range(200)], labels, predicted, np.tile([0.6, 0.4], (200, 1)))
        low, high = interval(resample_metrics(scored, resample(scored.slides, resamples=400))["accuracy"])
        inside += low <= 0.7 <= high
    assert 88 <= inside <= 100


def correlated(rng: np.random.Generator, patients: int, slides: int) -> tuple[Scored, FloatArray, FloatArray]:
    """Two models that are equally good, each with its own opinion of a patient that all of its slides share."""
    patient = np.repeat(np.arange(patients), slides)
    labels = patient % 2
    first, second = (
        1.2 * labels + 0.85 * rng.normal(size=patients)[patient] + 0.5 * rng.normal(size=len(patient))
        for _ in range(2)
    )
    names = [f"s{i}" for i in range(len(patient))]
    return Scored(names, labels, labels, np.zeros((len(patient), 2)), [f"p{i}" for i in patient]), first, second


def test_a_true_null_is_rejected_as_often_as_it_should_be() -> None:
    """At 5%, 3 to 7% of 600 cohorts when patients are drawn; drawn one by one, their slides find far too much."""
    rng, rejected, naive = np.random.default_rng(0), 0, 0
    for number in range(600):
        scored, first, second = correlated(rng, patients=40, slides=3)
        positive = scored.labels > 0
        for names in (scored.units, scored.slides):
            weights = resample(names, resamples=300, seed=number)
            p = two_sided(weighted_auc(positive, first, weights) - weighted_auc(positive, second, weights))
            rejected += p < 0.05 and names is scored.units
            naive += p < 0.05 and names is scored.slides
    assert 0.03 <= rejected / 600 <= 0.07
    assert naive / 600 > 0.15


def test_patients_are_drawn_only_where_one_has_several_slides() -> None:
    scored = made_up(4, 2, 0)
    assert not scored.by_patient
    assert scored.units == scored.slides
    single = replace(scored, patients=["a", "b", "c", "d"])
    assert not single.by_patient
    assert single.units == single.slides
    several = replace(scored, patients=["a", "b", "a", "c"])
    assert several.by_patient
    assert several.units == ["a", "b", "a", "c"]
    # a slide that is predicted several times is one slide
    repeats = replace(scored, slides=["s", "s", "t", "t"], patients=["a", "a", "b", "b"])
    assert not repeats.by_patient


def test_delong_by_hand() -> None:
    """Placements of the positives differ by 0, 1, -1/2, of the negatives by 0, 1/3: 7/12/3 + 1/18/2 = 2/9."""
    positive = np.array([True, True, True, False, False])
    first = np.array([0.8, 0.6, 0.4, 0.5, 0.3])  # 5 of 6 pairs
    second = np.array([0.7, 0.2, 0.9, 0.4, 0.6])  # 4 of 6 pairs
    found = delong(positive, first, second)
    assert (found.first, found.second) == pytest.approx((5 / 6, 4 / 6))
    assert found.standard_error == pytest.approx(math.sqrt(2 / 9))
    assert found.p == pytest.approx(math.erfc(1 / 6 / math.sqrt(2 / 9) / math.sqrt(2)))
    low, high = found.interval
    assert (low + high) / 2 == pytest.approx(1 / 6)
    assert high - low == pytest.approx(2 * 1.959964 * math.sqrt(2 / 9), rel=1e-6)


def test_delong_without_a_difference_or_without_slides() -> None:
    positive, scores = np.array([True, True, False, False]), np.array([0.9, 0.3, 0.4, 0.1])
    assert delong(positive, scores, scores).p == 1
    assert math.isnan(delong(np.array([True, False, False]), np.arange(3.0), np.arange(3.0)).p)
    better = delong(positive, np.array([1.0, 0.9, 0.1, 0.0]), np.array([0.0, 0.1, 0.9, 1.0]))
    assert (better.difference, better.p) == (1, 0)


def test_delong_agrees_with_the_bootstrap_on_many_slides() -> None:
    rng = np.random.default_rng(3)
    positive = rng.random(600) < 0.4
    signal = positive + rng.normal(0, 1, 600)
    first, second = signal + rng.normal(0, 0.5, 600), signal + rng.normal(0, 1.5, 600)
    weights = resample([str(i) for i in range(600)], resamples=1500)
    differences = weighted_auc(positive, first, weights) - weighted_auc(positive, second, weights)
    assert delong(positive, first, second).standard_error == pytest.approx(differences.std(), rel=0.1)
