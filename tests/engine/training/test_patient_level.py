"""Predictions of patients, and training of cohorts that are not balanced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from sam_mil_engine.cli.main import app
from sam_mil_engine.errors import DataError
from sam_mil_engine.mil.bag_tensors import BagTensors
from sam_mil_engine.settings import LATER, TrainSettings
from sam_mil_engine.training import fitting
from sam_mil_engine.training.bag_store import Example
from sam_mil_engine.training.comparison import compare_runs
from sam_mil_engine.training.patient_level import at_patient_level, write_patients
from sam_mil_engine.training.run_files import TrainResult, write_results
from sam_mil_engine.training.summary import summarise


def run_of(p: list[float], labels: list[str], patients: list[str], out_dir: Path = Path("run")) -> TrainResult:
    classes = ("normal", "tumour")
    table = pd.DataFrame(
        {
            "slide_id": [f"s{k}" for k in range(len(p))],
            "label": labels,
            "repeat": 0,
            "fold": 0,
            "split": "test",
            "p_normal": 1 - np.array(p),
            "p_tumour": p,
            "predicted": [classes[value >= 0.6] for value in p],
            "patient_id": patients,
        }
    )
    figures = dict.fromkeys(("auc", "accuracy"), 0.5)
    folds = ({"repeat": 0, "fold": 0, "threshold": 0.6, "val": None, "test": figures},)
    return TrainResult(out_dir, classes, folds, pd.DataFrame(), table, summarise(folds, table, classes))


SLIDES = run_of(
    [0.9, 0.1, 0.7, 0.2, 0.3, 0.5],
    ["tumour", "normal", "normal", "normal", "normal", "tumour"],
    ["A", "A", "B", "B", "C", "D"],
)


def test_a_patient_has_the_largest_or_the_mean_of_its_slides() -> None:
    largest = at_patient_level(SLIDES)
    assert largest.predictions["slide_id"].tolist() == ["A", "B", "C", "D"]
    assert largest.predictions["p_tumour"].tolist() == pytest.approx([0.9, 0.7, 0.3, 0.5])
    assert largest.predictions["label"].tolist() == ["tumour", "normal", "normal", "tumour"]
    assert largest.predictions["predicted"].tolist() == ["tumour", "tumour", "normal", "normal"]
    mean = at_patient_level(SLIDES, join="mean")
    assert mean.predictions["p_tumour"].tolist() == pytest.approx([0.5, 0.45, 0.3, 0.5])
    assert mean.predictions["slides"].tolist() == [2, 2, 1, 1]
    assert largest.summary["pooled"]["auc"]["value"] == pytest.approx(3 / 4)
    assert mean.summary["pooled"]["auc"]["value"] == 1
    assert largest.metrics["accuracy"] == 0.5, "D is missed and B is wrong, at the fold's threshold"
    assert largest.summary["bootstrap"]["over"] == "patients"
    assert largest.folds[0]["test"]["accuracy"] == 0.5


def test_patients_are_compared_and_written(tmp_path: Path) -> None:
    first = at_patient_level(run_of([0.9, 0.1, 0.7, 0.2], ["tumour"] * 2 + ["normal"] * 2, list("AABB"), tmp_path))
    table = compare_runs({"one": first, "two": first})
    assert set(table["test"].dropna()) == {"bootstrap", "delong"}, "one row a patient: nothing is correlated"
    write_patients(first, join="max")
    written = pd.read_csv(tmp_path / "patients.csv")
    assert written["p_tumour"].tolist() == pytest.approx([0.9, 0.7])
    assert '"level": "patient"' in (tmp_path / "patients.json").read_text()
    assert not (tmp_path / "metrics.json").exists(), "those of the slides stay as they are"


def test_the_command_compares_patients(tmp_path: Path) -> None:
    for name, p in (("one", [0.9, 0.1, 0.7, 0.2, 0.3, 0.5]), ("two", [0.9, 0.1, 0.2, 0.2, 0.3, 0.5])):
        run = run_of(p, list(SLIDES.predictions["label"]), list(SLIDES.predictions["patient_id"]))
        (tmp_path / name).mkdir()
        write_results(
            tmp_path / name, classes=run.classes, folds=run.folds, history=run.history, predictions=run.predictions
        )

    def auc(*options: str) -> dict[str, float]:
        words = ["compare-models", str(tmp_path / "one"), str(tmp_path / "two"), "--json", *options]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        rows = [row for row in json.loads(result.stdout) if row["figure"] == "auc"]
        return {row["model"]: row["pooled"] for row in rows if row["test"] != "delong"}

    assert auc("--level", "patient") == {"one": pytest.approx(3 / 4), "two": 1.0}
    assert auc("--level", "patient", "--join", "mean") == {"one": 1.0, "two": 1.0}
    assert auc() == {"one": pytest.approx(7 / 8), "two": 1.0}


def test_unknown_patients_and_mixed_classes_are_refused() -> None:
    from dataclasses import replace

    with pytest.raises(DataError, match="patients of the slides are not known"):
        at_patient_level(replace(SLIDES, predictions=SLIDES.predictions.drop(columns="patient_id")))
    three = SLIDES.predictions.assign(p_other=0.0)
    with pytest.raises(DataError, match="1 patients are of several classes: A"):
        at_patient_level(replace(SLIDES, classes=("normal", "tumour", "other"), predictions=three))


class Counting(torch.nn.Module):
    """Stands in for a model: its loss is a constant of the class, and it notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))
        self.seen: list[int] = []

    def loss(self, bag: BagTensors, label: torch.Tensor) -> object:
        self.seen.append(int(label))
        total = self.weight[int(label)]
        return type("Loss", (), {"total": total, "terms": {}})()

    def after_step(self) -> None:
        pass


def epoch(balance: str, n: int = 200) -> tuple[Counting, list[int]]:
    labels = [0] * (n - n // 10) + [1] * (n // 10)
    examples = [Example(str(k), None, torch.tensor(label)) for k, label in enumerate(labels)]
    model = Counting()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    settings = TrainSettings(balance=balance)
    torch.manual_seed(0)
    start = fitting.Progress("train", 0, 1)
    fitting.train_epoch(model, examples, optimizer, settings=settings, start=start)
    return model, model.seen


def test_weights_give_every_class_the_same_part_of_the_gradient() -> None:
    plain, seen = epoch("none")
    assert sorted(seen) == [0] * 180 + [1] * 20
    torch.testing.assert_close(plain.weight.detach(), torch.tensor([-180.0, -20.0]))
    weighted, seen = epoch("weights")
    assert sorted(seen) == [0] * 180 + [1] * 20
    torch.testing.assert_close(weighted.weight.detach(), torch.tensor([-100.0, -100.0]), rtol=1e-4, atol=0)


def test_sampling_draws_every_class_as_often() -> None:
    _, seen = epoch("sampling")
    assert len(seen) == 200
    assert 70 <= sum(seen) <= 130
    assert seen == epoch("sampling")[1], "by the seed"


def test_runs_without_balance_keep_their_key() -> None:
    assert "balance" in LATER
