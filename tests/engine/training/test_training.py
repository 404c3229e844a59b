"""From bags and labels to a RUN: what is learned, written, resumed, and refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from cohorts import witness_bag, write_bag

import sam_mil_engine as sme
from sam_mil_engine.errors import BagError, Cancelled, DataError, ModelError, ProjectError
from sam_mil_engine.mil.aggregator import Aggregator, AggregatorOutput, BagTensors, Loss
from sam_mil_engine.models.aggregators import AGGREGATORS
from sam_mil_engine.models.card import ModelCard
from sam_mil_engine.prediction.slide import predict
from sam_mil_engine.progress import Progress
from sam_mil_engine.settings import ModelSettings, TrainSettings
from sam_mil_engine.training.checkpoint import load_model
from sam_mil_engine.training.data import load_bags, match_bags
from sam_mil_engine.training.fitting import evaluate, fit
from sam_mil_engine.training.folds import Split
from sam_mil_engine.training.labels import read_labels
from sam_mil_engine.training.loop import train
from sam_mil_engine.training.optimization import best_epoch
from sam_mil_engine.training.run_files import read_run
from sam_mil_engine.training.split_files import read_splits, write_splits
from warm_commands import run_until_there

pytestmark = pytest.mark.usefixtures("one_thread")
Cohort = tuple[Path, Path]
MODEL_FILES = ["domain.safetensors", "model.json", "model.safetensors"]
RUN_FILES = ["curves.png", "history.csv", "metrics.json", "predictions.csv", "settings.json", "splits.csv"]


def quick(name: str = "sam-mil", **options: object) -> TrainSettings:
    model = ModelSettings(name=name, hidden=64, attention=32, consistency_weight=1000.0)
    values = {
        "epochs": 12,
        "min_epochs": 4,
        "patience": 4,
        "learning_rate": 2e-3,
        "device": "cpu",
        "cache_dtype": "float32",
        **options,
    }
    return TrainSettings.parse({"model": model, **values})


@pytest.fixture(scope="module")
def run(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "sam-mil"
    train(*cohort, folder, settings=quick())
    return folder


@pytest.mark.parametrize("name", ["sam-mil", "abmil", "abmil+groups", "mean", "max"])
def test_a_few_witnesses_in_a_bag_are_learned(name: str, cohort: Cohort, tmp_path: Path) -> None:
    result = train(*cohort, tmp_path, settings=quick(name, epochs=25, patience=25))
    assert result.metrics["auc"] > 0.9
    assert result.history["train_loss"].iloc[-1] < result.history["train_loss"].iloc[0]


def test_what_a_run_holds(run: Path, cohort: Cohort) -> None:
    assert sorted(path.name for path in run.iterdir() if path.is_file()) == RUN_FILES
    assert sorted(path.name for path in (run / "fold-0-0").iterdir()) == MODEL_FILES
    result = read_run(run)
    (split,) = read_splits(run / "splits.csv")
    assert [len(split.train), len(split.val), len(split.test)] == [24, 8, 8]
    assert result.predictions["slide_id"].tolist() == list(split.test)
    assert result.predictions.columns.tolist() == [
        *("slide_id", "label", "repeat", "fold", "split", "p_normal", "p_tumour", "predicted")
    ]
    np.testing.assert_allclose(result.predictions[["p_normal", "p_tumour"]].sum(axis=1), 1)
    terms = result.history[["train_bag", "train_pseudo_bags", "train_consistency"]].sum(axis=1)
    np.testing.assert_allclose(terms, result.history["train_loss"], rtol=1e-5)
    (fold,) = result.folds
    assert fold["best_epoch"] == result.history["val_loss"].idxmin()
    called = np.where(result.predictions["p_tumour"] >= fold["threshold"], "tumour", "normal")
    assert (called == result.predictions["predicted"]).all()
    assert (called == result.predictions["label"]).mean() == pytest.approx(fold["test"]["accuracy"])
    rates = result.history["lr"].to_numpy()
    np.testing.assert_allclose(rates, [2e-3 * (1 + math.cos(math.pi * e / 12)) / 2 for e in range(len(rates))])
    settings = json.loads((run / "settings.json").read_text())
    assert TrainSettings.parse(settings["train"]) == quick()
    assert settings["versions"]["torch"] == version("torch")


def test_the_saved_model_gives_the_numbers_of_the_run(run: Path, cohort: Cohort) -> None:
    model = load_model(run, device="cpu")
    rows = read_run(run).predictions
    for slide_id, positive in zip(rows["slide_id"], rows["p_tumour"], strict=True):
        scores = predict(model, sme.read_bag(cohort[0] / f"{slide_id}.h5"))
        assert scores.probabilities[1] == pytest.approx(positive, abs=1e-6)


def test_the_same_seed_gives_the_same_files(run: Path, cohort: Cohort, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    train(*cohort, tmp_path / "again", settings=quick())
    assert torch.equal(torch.get_rng_state(), before), "the caller's random numbers are left alone"
    for name in ("predictions.csv", "history.csv", "metrics.json", "fold-0-0/model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes()
    train(*cohort, tmp_path / "other", settings=quick(seed=7))
    assert (tmp_path / "other" / "history.csv").read_bytes() != (run / "history.csv").read_bytes()


@pytest.mark.parametrize("calls", [42, 42 + 24 * 5 + 10, 42 + 24 * 12])
def test_a_stopped_run_goes_on_with_the_same_numbers(calls: int, run: Path, cohort: Cohort, tmp_path: Path) -> None:
    """Stopped in the first epoch, in the sixth, and after the last: 41 reports load bags, then one a step."""
    left = calls

    def stop(progress: Progress) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        train(*cohort, tmp_path, settings=quick(), progress=stop)
    assert not (tmp_path / "metrics.json").exists()
    with pytest.raises(ProjectError, match="already holds a run"):
        train(*cohort, tmp_path, settings=quick())
    train(*cohort, tmp_path, settings=quick(), resume=True)
    for name in ("predictions.csv", "history.csv", "metrics.json", "fold-0-0/model.safetensors"):
        assert (tmp_path / name).read_bytes() == (run / name).read_bytes()
    assert not (tmp_path / "fold-0-0" / "last.pt").exists()


def test_a_killed_run_goes_on_with_the_same_numbers(run: Path, cohort: Cohort, tmp_path: Path) -> None:
    """SIGKILL in another process, as soon as the first checkpoint is there."""
    code = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from sam_mil_engine.training.loop import train\n"
        "from sam_mil_engine.settings import TrainSettings\n"
        "train(*sys.argv[1:4], settings=TrainSettings.model_validate_json(sys.argv[4]))\n"
    )
    checkpoint = tmp_path / "fold-0-0" / "last.pt"
    run_until_there(checkpoint, code, *cohort, tmp_path, quick().model_dump_json())
    assert checkpoint.exists()
    train(*cohort, tmp_path, settings=quick(), resume=True)
    for name in ("predictions.csv", "history.csv", "metrics.json", "fold-0-0/model.safetensors"):
        assert (tmp_path / name).read_bytes() == (run / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "fold-0-0").iterdir()) == MODEL_FILES


def test_resuming_a_finished_run_reads_it_and_other_settings_are_refused(run: Path, cohort: Cohort) -> None:
    written = (run / "metrics.json").stat().st_mtime_ns
    told: list[Progress] = []
    result = train(*cohort, run, settings=quick(), resume=True, progress=told.append)
    assert result.metrics == read_run(run).metrics
    assert not [report for report in told if report.stage == "train"]
    assert (run / "metrics.json").stat().st_mtime_ns == written
    with pytest.raises(ProjectError, match="other settings"):
        train(*cohort, run, settings=quick(epochs=13), resume=True)


def test_a_damaged_checkpoint_is_named(cohort: Cohort, tmp_path: Path) -> None:
    bags = load_bags(match_bags(read_labels(cohort[1]), cohort[0]))
    examples = bags.pick(["s00", "s01", "s02", "s03"])
    file = tmp_path / "last.pt"
    file.write_bytes(b"no checkpoint")
    model = sme.mil.building.build_aggregator(ModelSettings(name="mean"), dim=8, n_classes=2)
    with pytest.raises(ModelError, match="cannot continue from here"):
        fit(model, examples, examples, settings=quick("mean"), checkpoint=file)


def test_test_labels_have_no_say_in_training(run: Path, cohort: Cohort, tmp_path: Path) -> None:
    (split,) = read_splits(run / "splits.csv")
    table = pd.read_csv(cohort[1])
    at_test = table["slide_id"].isin(split.test)
    table.loc[at_test, "label"] = table.loc[at_test, "label"].map({"normal": "tumour", "tumour": "normal"})
    table.to_csv(tmp_path / "permuted.csv", index=False)
    result = train(
        cohort[0], tmp_path / "permuted.csv", tmp_path / "run", settings=quick(), splits=run / "splits.csv"
    )
    first = read_run(run)
    assert (tmp_path / "run" / "history.csv").read_bytes() == (run / "history.csv").read_bytes()
    assert result.folds[0]["threshold"] == first.folds[0]["threshold"]
    assert result.folds[0]["best_epoch"] == first.folds[0]["best_epoch"]
    assert result.predictions["p_tumour"].tolist() == first.predictions["p_tumour"].tolist()
    assert result.metrics["auc"] == pytest.approx(1 - first.metrics["auc"])


def test_early_stopping_waits_for_min_epochs_and_patience(cohort: Cohort) -> None:
    bags = load_bags(match_bags(read_labels(cohort[1]), cohort[0]))
    half = bags.pick([f"s{i:02d}" for i in range(8)])
    model = Constant(ModelSettings(name="mean"), dim=8, n_classes=2)
    history = fit(model, half, half, settings=quick(epochs=30, min_epochs=9, patience=3))
    assert len(history) == 9
    history = fit(model, half, half, settings=quick(epochs=30, min_epochs=2, patience=5))
    assert (len(history), best_epoch(history, TrainSettings())) == (6, 0)


class Constant(Aggregator):
    """Says the same of every bag and learns nothing, with a loss of two terms."""

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__(settings, dim=dim, n_classes=n_classes)
        self.bias = torch.nn.Parameter(torch.zeros(n_classes))
        self.steps = 0

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        logits = torch.zeros(self.n_classes) + 0 * self.bias
        return AggregatorOutput(logits, None, bag.features, None, self.bias)

    def loss(self, bag: BagTensors, label: torch.Tensor) -> Loss:
        terms = {"one": 0 * self.bias.sum() + 1, "two": 0 * self.bias.sum() + 2}
        return Loss(total=terms["one"] + terms["two"], terms=terms, logits=self.bias)

    def patch_logits(self, output: AggregatorOutput, n_patches: int) -> torch.Tensor:
        return torch.zeros(n_patches, self.n_classes)

    def after_step(self) -> None:
        self.steps += 1


def test_a_new_model_is_one_class_and_one_card(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = ModelCard(name="constant", kind="aggregator", what="a test", builder=f"{__name__}:Constant")
    monkeypatch.setitem(AGGREGATORS, "constant", card)
    result = train(*cohort, tmp_path, settings=quick("constant", epochs=3, min_epochs=0))
    assert result.history[["train_one", "train_two"]].to_numpy().tolist() == [[1, 2]] * 3
    scores = predict(load_model(tmp_path, device="cpu"), sme.read_bag(cohort[0] / "s01.h5"))
    assert scores.attention is None
    assert scores.evidence is None
    assert scores.groups.probability_without.shape == (3, 2)


def test_every_step_is_told_and_after_step_runs(cohort: Cohort) -> None:
    bags = load_bags(match_bags(read_labels(cohort[1]), cohort[0]))
    examples = bags.pick([f"s{i:02d}" for i in range(8)])
    model = Constant(ModelSettings(name="mean"), dim=8, n_classes=2)
    told: list[Progress] = []
    fit(model, examples, examples, settings=quick(epochs=3, patience=9), progress=told.append)
    assert [(report.done, report.total) for report in told] == [(i, 24) for i in range(24)]
    assert model.steps == 24


def test_a_loss_that_explodes_is_told(cohort: Cohort) -> None:
    bags = load_bags(match_bags(read_labels(cohort[1]), cohort[0]))
    examples = bags.pick(["s00", "s01"])
    model = Constant(ModelSettings(name="mean"), dim=8, n_classes=2)
    model.bias.data[:] = torch.nan
    with pytest.raises(ModelError, match="the loss is nan in epoch 1"):
        fit(model, examples, examples, settings=quick())


def refused(cohort: Cohort, tmp_path: Path, text: str, splits: str | None = None) -> Callable[[], object]:
    (tmp_path / "labels.csv").write_text(text)
    file = None
    if splits is not None:
        file = tmp_path / "given.csv"
        file.write_text(splits)
    return lambda: train(cohort[0], tmp_path / "labels.csv", tmp_path / "run", settings=quick(), splits=file)


def test_what_does_not_fit_is_refused_before_any_file(cohort: Cohort, tmp_path: Path) -> None:
    good = cohort[1].read_text()
    rows = [f"s{i:02d},{'tumour' if i % 2 else 'normal'}" for i in range(8)]
    cases = [
        (good + "unknown,normal\n", None, "1 of 41 labelled slides have no bag: unknown"),
        (good + "s00,normal\n", None, "more than one row: s00"),
        ("\n".join(["slide_id,label", *rows[:4]]), None, "too few"),
        (good, "slide_id,split\ns00,train\ns01,train\ns02,val\n", "val part .* has no slide of class tumour"),
        (good, "slide_id,split,fold\ns00,train,0\ns01,train,1\n", "holds 2 splits"),
        (
            "slide_id,label,patient_id,split\n"
            + "\n".join(f"{row},p{i // 2},{'train' if i < 5 else 'val'}" for i, row in enumerate(rows)),
            None,
            "patients are in train and in val: p2",
        ),
    ]
    for text, splits, says in cases:
        with pytest.raises(DataError, match=says):
            refused(cohort, tmp_path, text, splits)()
        assert not (tmp_path / "run").exists()


def test_a_bad_bag_stops_before_training(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "bags").mkdir()
    for i in range(40):
        bag = witness_bag(f"s{i:02d}", bool(i % 2), seed=i, n=8)
        if i == 30:
            bag.features[3] = np.inf
        write_bag(tmp_path / "bags", bag)
    with pytest.raises(BagError, match="row 3"):
        train(tmp_path / "bags", cohort[1], tmp_path / "run", settings=quick())


def test_three_classes(cohort: Cohort, tmp_path: Path) -> None:
    folder = tmp_path / "bags"
    folder.mkdir()
    lines = ["slide_id,label"]
    for i in range(45):
        bag = witness_bag(f"t{i:02d}", False, seed=100 + i)
        bag.features[20:26, i % 3] += 4
        write_bag(folder, bag.with_groups(bag.groups))
        lines.append(f"t{i:02d},{'abc'[i % 3]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    result = train(folder, tmp_path / "labels.csv", tmp_path / "run", settings=quick(epochs=15))
    assert result.classes == ("a", "b", "c")
    assert result.metrics["auc"] > 0.9
    assert load_model(tmp_path / "run", device="cpu").threshold == 0.5


def test_a_split_without_test_slides_shows_validation(cohort: Cohort, tmp_path: Path) -> None:
    slides = [f"s{i:02d}" for i in range(16)]
    write_splits(tmp_path / "s.csv", [Split(tuple(slides[:8]), tuple(slides[8:]))])
    result = train(*cohort, tmp_path / "run", settings=quick(epochs=2), splits=tmp_path / "s.csv")
    assert result.folds[0]["test"] is None
    assert result.predictions["split"].unique().tolist() == ["val"]
    assert result.metrics == result.folds[0]["val"]


def test_evaluation_is_unmasked_and_repeatable(run: Path, cohort: Cohort) -> None:
    model = load_model(run, device="cpu").model
    examples = load_bags(match_bags(read_labels(cohort[1]), cohort[0])).pick(["s00", "s01"])
    first, second = evaluate(model, examples), evaluate(model, examples)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    assert first.labels.tolist() == [0, 1]


def test_train_stays_a_function_beside_its_room(cohort: Cohort) -> None:
    assert sme.train is train
    assert sme.predict is predict
