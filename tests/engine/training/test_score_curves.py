"""ROC, precision-recall and calibration curves: against scikit-learn and by hand, and what their intervals draw."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from sam_mil_engine.training.metrics import auc
from sam_mil_engine.training.score_curves import score_curves


def slides(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3 == 0
    return truth, np.round(np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1), 2)


def test_the_curves_are_those_of_scikit_learn() -> None:
    truth, scores = slides()
    found = score_curves(truth, scores, [f"s{k}" for k in range(len(truth))])
    rate, recall, _ = roc_curve(truth, scores, drop_intermediate=False)
    between = [np.interp(x, rate, recall) for x in found.roc.x if x not in rate]
    np.testing.assert_allclose([y for x, y in zip(found.roc.x, found.roc.y, strict=True) if x not in rate], between)
    assert np.trapezoid(found.roc.y, found.roc.x) == pytest.approx(auc(truth, scores), abs=0.02)
    precision, reached, _ = precision_recall_curve(truth, scores)
    for x, y in zip(found.precision_recall.x, found.precision_recall.y, strict=True):
        assert y in precision[reached >= x - 1e-9], "the precision of a threshold that reaches this recall"
    assert found.precision_recall.y[-1] == pytest.approx(precision[reached == 1].max())


def test_calibration_is_the_share_of_positives_in_each_tenth() -> None:
    truth = np.array([False, False, True, True, True, False])
    scores = np.array([0.11, 0.13, 0.18, 0.92, 0.98, 1.0])
    found = score_curves(truth, scores, list("abcdef")).calibration
    np.testing.assert_allclose(found.x, [0.14, (0.92 + 0.98 + 1.0) / 3])
    np.testing.assert_allclose(found.y, [1 / 3, 2 / 3])
    assert (found.low <= found.y).all()
    assert (found.y <= found.high).all()


def test_intervals_draw_patients_whose_slides_are_alike() -> None:
    """Every slide five times over: as patients the interval stays, as slides it would shrink."""
    truth, scores = slides(24)
    alone = score_curves(truth, scores, [str(k) for k in range(24)]).roc
    names = [str(k) for k in range(24)] * 5
    as_patients = score_curves(np.tile(truth, 5), np.tile(scores, 5), names).roc
    as_slides = score_curves(np.tile(truth, 5), np.tile(scores, 5), [str(k) for k in range(120)]).roc
    width = {name: float((one.high - one.low).mean()) for name, one in
             {"alone": alone, "patients": as_patients, "slides": as_slides}.items()}  # fmt: skip
    assert width["patients"] == pytest.approx(width["alone"], rel=1e-6)
    assert width["slides"] < 0.7 * width["alone"]
    np.testing.assert_allclose(as_patients.y, alone.y)


def test_one_kind_of_slides_has_no_curves() -> None:
    assert score_curves(np.ones(4, bool), np.linspace(0, 1, 4), list("abcd")) is None
    perfect = score_curves(np.array([False, True]), np.array([0.1, 0.9]), ["a", "b"])
    np.testing.assert_allclose(perfect.roc.y, 1)
    np.testing.assert_allclose(perfect.precision_recall.y, 1)
