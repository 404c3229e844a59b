"""Recipes of the papers: optimiser, rates and the epoch that is kept, for every method; runs that use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.cli.main import app
from sam_mil_engine.errors import Cancelled
from sam_mil_engine.mil.bag_tensors import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.models.aggregators import AGGREGATORS
from sam_mil_engine.progress import Progress
from sam_mil_engine.settings import LATER, PLACE, ModelSettings, TrainSettings
from sam_mil_engine.training.bag_store import Example
from sam_mil_engine.training.fitting import train_epoch
from sam_mil_engine.training.loop import train
from sam_mil_engine.training.optimization import (
    best_row,
    clip_gradients,
    make_optimizer,
    rate_of,
    should_stop,
)
from sam_mil_engine.training.recipe import resolve

pytestmark = pytest.mark.usefixtures("one_thread")
Cohort = tuple[Path, Path]

#: Optimiser; rate at the first epoch, in the middle and at the last; decay; epochs; patience; first stop; best by.
TABLE = {
    "abmil": ("Adam", (1e-4, 1e-4, 1e-4), 5e-4, 100, 0, None, "loss"),
    "dsmil": ("Adam", (1e-4, 5.25e-5, 5.1e-6), 1e-3, 50, 10, 0, "auc"),
    "clam-sb": ("Adam", (2e-4, 2e-4, 2e-4), 1e-5, 200, 20, 50, "loss"),
    "clam-mb": ("Adam", (2e-4, 2e-4, 2e-4), 1e-5, 200, 20, 50, "loss"),
    "transmil": ("Lookahead", (2e-4, 2e-4, 2e-4), 1e-5, 200, 10, 0, "loss"),
    "dtfd": ("Adam", (1e-4, 2e-5, 2e-5), 1e-4, 200, 0, None, "auc"),
    "ibmil": ("Adam", (1e-4, 5.25e-5, 5.1e-6), 1e-4, 50, 0, None, "auc"),
    "mhim": ("Adam", (2e-4, 1e-4, 1.2e-8), 1e-5, 200, 30, 130, "auc"),
    "srmil": ("AdamW", (5e-4, 2.5e-4, 1.2e-7), 1e-5, 100, 0, None, "auc"),
    "sam-mil": ("Adam", (2e-4, 1e-4, 1.2e-8), 1e-5, 200, 30, 130, "auc"),
}


def paper(name: str, **options: object) -> TrainSettings:
    model = {"name": name, "hidden": 16, "attention": 8, "transmil": {"heads": 2, "landmarks": 8}}
    return resolve(TrainSettings.parse({"model": model, "recipe": "paper", "device": "cpu", **options}))


def test_the_paper_weighs_consistency_as_it_says_unless_a_weight_is_set() -> None:
    chosen = paper("sam-mil").model
    assert (chosen.consistency_weight, chosen.consistency_patches) == (1000.0, 0)
    model = ModelSettings(name="sam-mil", consistency_weight=5.0)
    assert resolve(TrainSettings(model=model, recipe="paper")).model.consistency_weight == 5.0
    assert resolve(TrainSettings(model=ModelSettings(name="sam-mil"))).model.consistency_weight == 0.0


@pytest.mark.parametrize("name", TABLE)
def test_every_method_has_the_recipe_of_its_paper(name: str) -> None:
    kind, rates, decay, epochs, patience, first_stop, best_by = TABLE[name]
    chosen = paper(name)
    model = build_aggregator(chosen.model, dim=8, n_classes=2)
    optimizer = make_optimizer(model, chosen)
    assert type(optimizer).__name__ == kind
    found = [rate_of(epoch, chosen) for epoch in (0, epochs // 2, epochs - 1)]
    assert found == pytest.approx(rates, rel=0.03)
    assert optimizer.param_groups[0]["weight_decay"] == decay
    assert (chosen.epochs, chosen.patience, chosen.best_by) == (epochs, patience, best_by)
    assert first_stop is None or chosen.min_epochs == first_stop
    betas = (0.5, 0.9) if name in ("dsmil", "ibmil") else (0.9, 0.999)
    assert optimizer.param_groups[0]["betas"] == betas
    assert chosen.balance == ("sampling" if name.startswith("clam") else "none")
    assert (chosen.clip, chosen.accumulate) == (5.0 if name == "dtfd" else 0.0, 2 if name == "transmil" else 1)


def test_every_method_of_the_registry_has_a_recipe_or_says_that_there_is_none() -> None:
    assert {name for name, card in AGGREGATORS.items() if card.recipe is None} == {"max", "mean"}
    told: list[Progress] = []
    without = resolve(TrainSettings(model=ModelSettings(name="mean"), recipe="paper"), progress=told.append)
    assert [one.message for one in told] == ["mean has no recipe of its own: the shared recipe is used"]
    assert (without.optimizer, without.epochs) == (TrainSettings().optimizer, TrainSettings().epochs)


def test_what_is_set_wins_over_the_recipe_and_the_recipe_over_the_protocol() -> None:
    protocol = {"patience": 20, "min_epochs": 70}
    settings = TrainSettings(model=ModelSettings(name="clam-sb"), recipe="paper", learning_rate=0.5)
    found = resolve(settings, protocol=protocol)
    assert (found.learning_rate, found.patience, found.min_epochs) == (0.5, 20, 50)
    ours = resolve(TrainSettings(model=ModelSettings(name="sam-mil"), recipe="paper"), protocol=protocol)
    assert (ours.patience, ours.min_epochs) == (20, 70), "those of the paper's protocols"


def test_radam_and_lookahead_are_what_transmil_trains_with() -> None:
    """RAdam's first step is that of plain momentum; Lookahead goes half way back at the 12th step."""
    chosen = paper("transmil")
    model = build_aggregator(ModelSettings(name="mean", hidden=4), dim=3, n_classes=2)
    optimizer = make_optimizer(model, chosen)
    decayed, kept = optimizer.param_groups
    assert [p.ndim for p in kept["params"]] == [1] * len(kept["params"])
    assert min(p.ndim for p in decayed["params"]) == 2
    assert (decayed["weight_decay"], kept["weight_decay"]) == (1e-5, 0)
    bias = kept["params"][0]
    values = [bias.detach().clone()]
    for _ in range(12):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        values.append(bias.detach().clone())
    torch.testing.assert_close(values[1], values[0] - 2e-4, rtol=0, atol=1e-7)
    steps = torch.stack(values).diff(dim=0)[:, 0]
    assert (steps[:11] < 0).all()
    assert steps[11] > 0, "the slow weights are behind the fast ones"


def test_each_part_of_dtfd_is_clipped_by_itself() -> None:
    model = build_aggregator(ModelSettings(name="dtfd", hidden=8, attention=4), dim=5, n_classes=2)
    parts = model.clipped_parts()
    assert sum(len(part) for part in parts) == len(list(model.parameters()))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    clip_gradients(model, TrainSettings(clip=0.5))
    for part in parts:
        norm = torch.stack([parameter.grad.norm() for parameter in part if parameter.grad is not None]).norm()
        assert norm.item() == pytest.approx(0.5, rel=1e-4)
    clip_gradients(model, TrainSettings())
    whole = build_aggregator(ModelSettings(name="abmil", hidden=8), dim=5, n_classes=2)
    assert len(whole.clipped_parts()) == 1


def test_gradients_of_several_slides_are_averaged(make_bag: Callable[..., FeatureBag]) -> None:
    bag = BagTensors.of(make_bag(30, 0, dim=5))
    settings = TrainSettings(model=ModelSettings(name="mean", hidden=4, dropout=0), accumulate=2)
    model = build_aggregator(settings.model, dim=5, n_classes=2)
    steps: list[torch.Tensor] = []

    class Recorder(torch.optim.SGD):
        def step(self, *_: Any) -> None:
            steps.append(next(model.parameters()).grad.clone())  # type: ignore[union-attr]

    examples = [Example(f"s{i}", bag, torch.tensor(1)) for i in range(3)]
    train_epoch(
        model, examples, Recorder(model.parameters(), lr=1), settings=settings, start=Progress("train", 0, 1)
    )
    assert len(steps) == 2, "two slides, and the one that is left"
    torch.testing.assert_close(steps[0], 2 * steps[1])


def test_the_epoch_that_is_kept() -> None:
    rows = [
        {"epoch": e, "val_loss": loss, "val_auc": auc}
        for e, (loss, auc) in enumerate([(0.1, 0.9), (0.4, 0.8), (0.3, 0.95), (0.2, 0.95), (0.5, 0.7)])
    ]
    kept = {
        (by, start): best_row(rows, TrainSettings(best_by=by, best_from=start, epochs=5))["epoch"]
        for by in ("loss", "auc")
        for start in (0.0, 0.2, 0.8)
    }
    assert kept == {
        ("loss", 0.0): 0,
        ("loss", 0.2): 3,
        ("loss", 0.8): 4,
        ("auc", 0.0): 3,  # the lower loss of two equal AUCs
        ("auc", 0.2): 3,
        ("auc", 0.8): 4,
    }
    assert best_row(rows[:2], TrainSettings(best_from=0.8, epochs=5))["epoch"] == 0, "while there is no later one"
    unknown = [{**row, "val_auc": float("nan")} for row in rows]
    assert best_row(unknown, TrainSettings(best_by="auc"))["epoch"] == 0
    assert should_stop(rows, TrainSettings(patience=4, min_epochs=0))
    assert not should_stop(rows, TrainSettings(patience=5, min_epochs=0))
    assert not should_stop(rows * 99, TrainSettings(patience=0, min_epochs=0))


@pytest.mark.parametrize("name", ["transmil", "dtfd"])
def test_a_run_with_the_papers_recipe_goes_on_where_it_was_stopped(
    name: str, cohort: Cohort, tmp_path: Path
) -> None:
    settings = paper(name, epochs=3)
    train(*cohort, tmp_path / "whole", settings=settings)
    saved = json.loads((tmp_path / "whole" / "settings.json").read_text())["train"]
    assert (saved["recipe"], saved["optimizer"]) == ("paper", settings.optimizer)
    left = 37  # in the second epoch of 24 slides

    def stop(progress: Progress) -> None:
        nonlocal left
        left -= progress.stage == "train"
        if left < 0:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        train(*cohort, tmp_path / "parts", settings=settings, progress=stop)
    given = {**settings.model.model_dump(exclude_unset=True)}
    resumed = TrainSettings.parse({"model": given, "epochs": 3, "device": "cpu"})  # says nothing of a recipe
    train(*cohort, tmp_path / "parts", settings=resumed, resume=True)
    for file in ("history.csv", "predictions.csv", "fold-0-0/model.safetensors"):
        assert (tmp_path / "parts" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_the_commands_take_a_recipe(cohort: Cohort, tmp_path: Path) -> None:
    words = ["--bags", *map(str, cohort[:1]), "--labels", str(cohort[1]), "--device", "cpu", "--epochs", "1", "-q",
             "--set", "model.hidden=16", "--recipe", "paper"]  # fmt: skip
    command = ["cross-validate", *words, "--folds", "2", "--model", "abmil", "--model", "mean", "-o"]
    CliRunner().invoke(app, [*command, str(tmp_path / "runs")], catch_exceptions=False)
    rates = {}
    for name in ("abmil", "mean"):
        saved = json.loads((tmp_path / "runs" / name / "settings.json").read_text())["train"]
        rates[name] = (saved["recipe"], saved["learning_rate"], saved["epochs"])
    assert rates == {"abmil": ("paper", 1e-4, 1), "mean": ("paper", 2e-4, 1)}
    told = CliRunner().invoke(app, ["compare-models", str(tmp_path / "runs")], catch_exceptions=False)
    assert "recipe: paper" in told.stdout
    file = tmp_path / "runs" / "mean" / "settings.json"
    file.write_text(file.read_text().replace('"recipe": "paper"', '"recipe": "shared"'))
    told = CliRunner().invoke(app, ["compare-models", str(tmp_path / "runs")], catch_exceptions=False)
    assert "recipes: abmil paper, mean shared" in told.stdout


def test_settings_that_came_later_leave_the_key_of_older_runs_as_it_was() -> None:
    first = {"model", "optimizer", "epochs", "learning_rate", "weight_decay", "patience", "min_epochs", "seed"}
    first |= {"val_fraction", "test_fraction", "threshold_rule", "classes", "precision", "cache_dtype"}
    assert set(TrainSettings.model_fields) - PLACE - LATER == first
