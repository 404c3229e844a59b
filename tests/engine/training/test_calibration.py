"""Calibration on slide labels alone: against mixtures whose truth is known."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import sam_mil_engine as sme
from sam_mil_engine.errors import SettingsError
from sam_mil_engine.mil.patch_calibration import (
    PatchCalibration,
    class_probabilities,
    compressed,
    logistic,
    operating_point,
    share_curve,
)
from sam_mil_engine.mil.score_files import patch_table
from sam_mil_engine.prediction.slide import predict, read_scores, save_scores
from sam_mil_engine.progress import Progress
from sam_mil_engine.settings import BEFORE, LATER, PLACE, ModelSettings, TrainSettings, key
from sam_mil_engine.training.calibration import at_temperature, find_negative, fit_patches, fit_temperature
from sam_mil_engine.training.checkpoint import load_model
from sam_mil_engine.training.cross_validation import cross_validate
from sam_mil_engine.training.loop import train
from sam_mil_engine.training.split_files import read_splits

pytestmark = pytest.mark.usefixtures("one_thread")
Cohort = tuple[Path, Path]
PRIOR = 0.2


def quick(**options: object) -> TrainSettings:
    model = ModelSettings(hidden=16, attention=8)
    return TrainSettings.of(
        **{"model": model, "epochs": 20, "min_epochs": 0, "learning_rate": 5e-3, "device": "cpu", **options}
    )


def made_up_slides(seed: int, count: int, n: int = 300) -> list[tuple[bool, np.ndarray, np.ndarray]]:
    """(positive, scores (n, 2), truth): the first score tells, the second less; half of the slides are positive."""
    rng = np.random.default_rng(seed)
    slides = []
    for number in range(count):
        positive = number % 2 == 1
        truth = rng.random(n) < (PRIOR if positive else 0)
        scores = rng.normal(size=(n, 2)) + truth[:, None] * [3.0, 1.0]
        slides.append((positive, scores, truth))
    return slides


def fitted(seed: int, count: int) -> PatchCalibration:
    slides = [(positive, scores) for positive, scores, _ in made_up_slides(seed, count)]
    found = fit_patches(slides, negative="n")
    assert found is not None
    return found


def test_slide_labels_tell_the_probability_of_a_patch() -> None:
    """As near to the truth as the true mixture is; the raw logistic of the score would not be."""
    found = fitted(0, 40)
    assert found.prior == pytest.approx(PRIOR, abs=0.04)
    new = [slide for slide in made_up_slides(1, 40) if slide[0]]
    scores, truth = np.concatenate([s for _, s, _ in new]), np.concatenate([t for *_, t in new])
    p = logistic(found.score(scores))
    ratio = np.exp(3 * scores[:, 0] - 4.5 + scores[:, 1] - 0.5)
    best = PRIOR * ratio / (1 - PRIOR + PRIOR * ratio)
    assert ((p - truth) ** 2).mean() < ((best - truth) ** 2).mean() + 0.01
    assert p.mean() == pytest.approx(truth.mean(), abs=0.04)
    called = p >= 0.5
    assert truth[called].mean() > 0.8


def test_the_operating_point_holds_on_new_slides() -> None:
    for seed, count in ((0, 8), (1, 16), (2, 40)):
        found = fitted(seed, count)
        new = [found.score(scores) for positive, scores, _ in made_up_slides(100 + seed, 60) if not positive]
        assert np.mean(np.concatenate(new) >= found.operating_point) < 0.015
        own = [found.score(scores) for positive, scores, _ in made_up_slides(seed, count) if not positive]
        assert np.mean(np.concatenate(own) >= found.operating_point) <= 0.01


def test_every_slide_has_the_same_say() -> None:
    slides = [(positive, scores) for positive, scores, _ in made_up_slides(3, 10)]
    repeated = [(p, np.repeat(s, 3, axis=0) if number < 3 else s) for number, (p, s) in enumerate(slides)]
    one, other = fit_patches(slides, negative="n"), fit_patches(repeated, negative="n")
    # the scale is that of all patches together, so the penalty differs a little
    assert other.weights == pytest.approx(one.weights, rel=0.03)
    assert other.prior == pytest.approx(one.prior, rel=0.05)


def test_the_probability_keeps_the_order_of_the_score() -> None:
    """Also in single precision, and where a model is sure beyond reason."""
    found = replace(fitted(0, 12), weights=(1.0, 0.0), intercept=0.0)
    columns = np.column_stack([np.arange(-80.0, 81.0), np.zeros(161)])
    for slide in (1.0, 0.3, 1e-4):
        p = (slide * logistic(found.score(columns))).astype(np.float32)
        assert (np.diff(p) > 0).all()
    assert compressed(np.array([-5.0, 0.0, 6.0])).tolist() == [-5.0, 0.0, 6.0]


def test_what_cannot_be_calibrated_stays_raw() -> None:
    slides = [(positive, scores) for positive, scores, _ in made_up_slides(0, 8)]
    assert fit_patches(slides[:3], negative="n") is None, "one positive slide"
    assert fit_patches([slide for slide in slides if slide[0]], negative="n") is None, "no negative slide"
    same = [(positive, np.zeros((50, 2))) for positive, _ in slides]
    assert fit_patches(same, negative="n") is None
    turned = [(positive, -scores) for positive, scores in slides]
    assert fit_patches(turned, negative="n") is None, "higher in negative slides: the ranking would turn round"
    # a score that points the wrong way gets no weight, the other decides
    half = [(positive, scores * [1, -1]) for positive, scores in slides]
    assert fit_patches(half, negative="n").weights[1] == 0


def test_an_unlike_slide_raises_the_operating_point() -> None:
    rng = np.random.default_rng(0)
    alike = [rng.normal(size=400) for _ in range(4)]
    high = operating_point([*alike, rng.normal(size=400) + 1.5])
    assert operating_point(alike) < 3.5 < high
    together = np.concatenate(alike)
    assert (together >= operating_point(alike)).mean() <= 0.01
    assert (together >= operating_point([together])).mean() == 0, "one slide says nothing of the next"
    assert operating_point([np.zeros(10), np.zeros(10)]) > 0


def test_the_share_of_normal_tissue_at_every_threshold() -> None:
    rng = np.random.default_rng(0)
    normal = [rng.normal(-3, 1, 500), rng.normal(-2, 1, 300)]
    scores, shares = share_curve(normal)
    assert all(one < other for one, other in itertools.pairwise(scores))
    found = replace(fitted(0, 12), log_odds=scores, shares=shares, operating_point=operating_point(normal))
    together = np.concatenate(normal)
    for slide in (1.0, 0.4):
        reading = found.reading(slide)
        for threshold in (0.001, 0.03, 0.1, 0.2, reading.operating_point, 0.9):
            expected = (slide * logistic(together) >= threshold).mean()
            assert reading.normal_share(threshold) == pytest.approx(expected, abs=0.06)
        assert reading.normal_share(0) == 1
        assert reading.normal_share(1) == 0
        assert reading.normal_share(reading.operating_point) <= 0.0101


def test_more_than_two_classes_share_the_probability() -> None:
    raw = np.array([[0.2, 0.6, 0.2], [1.0, 0.0, 0.0]], dtype=np.float32)
    found = class_probabilities(np.array([0.5, 0.1]), raw, 0)
    np.testing.assert_allclose(found, [[0.5, 0.375, 0.125], [0.9, 0.05, 0.05]], atol=1e-6)
    np.testing.assert_allclose(class_probabilities(np.array([0.3]), [[0.9, 0.1]], 0), [[0.7, 0.3]], atol=1e-6)


def test_the_negative_class_is_found_by_name_or_set() -> None:
    assert find_negative(("normal", "tumour"), None) == 0
    assert find_negative(("luad", "Benign"), None) == 1
    assert find_negative(("luad", "lusc"), None) is None
    assert find_negative(("normal", "benign", "malignant"), None) is None, "two could be meant"
    assert find_negative(("normal", "benign", "malignant"), "benign") == 1
    with pytest.raises(SettingsError, match="no class 'healthy'"):
        find_negative(("normal", "tumour"), "healthy")


def test_temperature_helps_or_is_left_out() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=400) * 1.5
    labels = (rng.random(400) < logistic(logits)).astype(np.int64)

    def probabilities(scale: float) -> np.ndarray:
        p = logistic(logits * scale)
        return np.stack([1 - p, p], axis=1)

    assert fit_temperature(probabilities(3.0), labels) == pytest.approx(3, rel=0.25)
    assert fit_temperature(probabilities(1.0), labels) == pytest.approx(1, abs=0.2)
    scaled = at_temperature(probabilities(3.0), 3.0)
    np.testing.assert_allclose(scaled, probabilities(1.0), atol=1e-9)
    assert fit_temperature(probabilities(3.0)[:3], labels[:3]) == 1
    right = np.eye(2)[labels] * 0.6 + 0.2
    assert fit_temperature(right, labels) == 1, "all are called right: nothing tells how sure to be"
    assert np.isfinite(fit_temperature(np.array([[1.0, 0.0]] * 4), np.array([0, 1, 0, 1])))


@pytest.fixture(scope="module")
def run(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("calibrated") / "run"
    train(*cohort, out, settings=quick())
    return out


def test_training_calibrates_and_prediction_says_so(run: Path, cohort: Cohort, tmp_path: Path) -> None:
    model = load_model(run, device="cpu")
    (split,) = read_splits(run / "splits.csv")
    calibration = model.calibration
    assert calibration.slides == len(split.val)
    assert calibration.negative == "normal"
    labels = dict(pd.read_csv(cohort[1]).to_numpy().tolist())
    reached, patches, above = 0, 0, []
    for name in split.val:
        scores = predict(model, sme.read_bag(cohort[0] / f"{name}.h5"))
        assert scores.calibrated == f"calibrated on {len(split.val)} validation slides"
        p, tumour = scores.patch_probability, float(scores.probabilities[1])
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(p[:, 1], tumour * logistic(scores.patch_score.astype(float)), atol=1e-5)
        assert scores.patch_threshold(1) == scores.calibration.operating_point
        assert scores.patch_threshold(0) == scores.threshold
        chosen = p[:, 1] >= scores.patch_threshold(1)
        if labels[name] == "normal":
            reached, patches = reached + chosen.sum(), patches + len(p)
        else:
            above.append(chosen[:60].mean())
    assert reached / patches <= 0.01
    assert np.mean(above) > 0.02
    save_scores(scores, tmp_path)
    again = read_scores(tmp_path / f"{scores.slide_id}.json")
    assert again.calibration == scores.calibration
    np.testing.assert_allclose(again.patch_score, scores.patch_score)
    assert "score" in patch_table(scores)


def test_models_and_files_of_before_are_raw(run: Path, cohort: Cohort, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (run / "fold-0-0").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    description = json.loads((folder / "model.json").read_text())
    for name in ("temperature", "calibration"):
        del description[name]
    (folder / "model.json").write_text(json.dumps(description))
    model = load_model(folder, device="cpu")
    scores = predict(model, sme.read_bag(cohort[0] / "s01.h5"))
    assert scores.calibrated == "raw"
    assert scores.calibration is scores.patch_score is None
    assert scores.patch_threshold(1) == scores.threshold
    np.testing.assert_allclose(scores.probabilities, torch.softmax(torch.tensor(scores.logits), 0), atol=1e-6)
    save_scores(scores, tmp_path)
    written = json.loads((tmp_path / "s01.json").read_text())
    for name in ("calibrated", "calibration"):
        del written[name]
    (tmp_path / "s01.json").write_text(json.dumps(written))
    assert read_scores(tmp_path / "s01.json").calibrated == "raw"


def test_a_task_without_a_negative_class_is_raw_and_told(cohort: Cohort, tmp_path: Path) -> None:
    labels = pd.read_csv(cohort[1]).replace({"normal": "luad", "tumour": "lusc"})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    told: list[Progress] = []
    table = tmp_path / "labels.csv"
    train(cohort[0], table, tmp_path / "run", settings=quick(epochs=2), progress=told.append)
    assert load_model(tmp_path / "run", device="cpu").calibration is None
    (message,) = [report.message for report in told if report.stage == "train" and report.notice]
    assert message == "patch probabilities are not calibrated: none of the classes luad, lusc is known as negative"
    chosen = quick(negative_class="luad", learning_rate=2e-2)
    found = cross_validate(cohort[0], table, tmp_path / "cv", models=["abmil"], folds=2, settings=chosen)
    assert all(fold["patches_calibrated_on"] > 0 for run in found.runs.values() for fold in run.folds)
    with pytest.raises(SettingsError, match="no class 'normal'"):
        train(cohort[0], table, tmp_path / "never", settings=quick(negative_class="normal"))
    assert not (tmp_path / "never").exists()


def test_calibration_can_be_switched_off(cohort: Cohort, tmp_path: Path) -> None:
    told: list[Progress] = []
    train(*cohort, tmp_path / "run", settings=quick(epochs=2, calibrate=False), progress=told.append)
    model = load_model(tmp_path / "run", device="cpu")
    assert (model.temperature, model.calibration) == (1, None)
    assert not [report for report in told if report.stage == "train" and report.notice]


def test_a_run_begun_before_later_settings_can_be_resumed(run: Path) -> None:
    """New settings that are not changed are no part of the run's key."""
    written = json.loads((run / "settings.json").read_text())
    (split,) = read_splits(run / "splits.csv")
    later = {*PLACE, *LATER}
    assert {"calibrate", "negative_class", "balance", "recipe", "schedule"} <= later
    before = {name: value for name, value in written["train"].items() if name not in later}
    before["model"] = {name: value for name, value in before["model"].items() if name not in BEFORE}
    parts = [[split.repeat, split.fold, split.train, split.val, split.test]]
    assert written["key"] == key(before, ["normal", "tumour"], parts)
