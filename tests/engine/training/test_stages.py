"""Models that are trained in stages, what each stage starts from, and the recipes of models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from sam_mil_engine.errors import Cancelled, SettingsError
from sam_mil_engine.mil.abmil import AbMil
from sam_mil_engine.mil.aggregator import BagTensors, Loss
from sam_mil_engine.models.aggregators import AGGREGATORS
from sam_mil_engine.models.card import ModelCard
from sam_mil_engine.models.recipes import Recipe
from sam_mil_engine.progress import Progress
from sam_mil_engine.settings import ModelSettings, TrainSettings
from sam_mil_engine.training.checkpoint import load_model
from sam_mil_engine.training.curves import stage_begins
from sam_mil_engine.training.loop import train
from sam_mil_engine.training.optimization import best_epoch
from sam_mil_engine.training.recipe import resolve

pytestmark = pytest.mark.usefixtures("one_thread")
Cohort = tuple[Path, Path]


class Staged(AbMil):
    """AB-MIL whose projection is trained first; then it is frozen and the centre of the bags is subtracted."""

    stages: ClassVar[tuple[str, ...]] = ("project", "attend")
    log: ClassVar[list[tuple[str, object]]] = []

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__(settings, dim=dim, n_classes=n_classes)
        self.register_buffer("centre", torch.zeros(dim))

    def enter_stage(self, stage: str) -> None:
        super().enter_stage(stage)
        self.project.requires_grad_(stage == "project")
        self.log.append((stage, [name for name, value in self.named_parameters() if value.requires_grad]))

    def prepare_stage(self, bags: Sequence[BagTensors]) -> None:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.log.append(("prepare", {name: value.clone() for name, value in self.state_dict().items()}))
        if self.stage == "attend":
            self.centre.copy_(torch.stack([bag.features.mean(0) for bag in bags]).mean(0))

    def loss(self, bag: BagTensors, label: torch.Tensor) -> Loss:
        self.log.append(("step", self.project[0].weight.detach().clone()))
        return super().loss(bag, label)


def card_with(recipe: dict[str, object]) -> ModelCard:
    found = Recipe(settings=recipe, source="a test")
    return ModelCard(name="staged", kind="aggregator", what="a test", builder=f"{__name__}:Staged", recipe=found)


@pytest.fixture(autouse=True)
def staged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(
        AGGREGATORS, "staged", card_with({"optimizer": "adamw", "learning_rate": 0.01, "epochs": 5})
    )
    Staged.log.clear()
    yield
    Staged.log.clear()


def quick(**options: object) -> TrainSettings:
    model = ModelSettings(name="staged", hidden=16, attention=8)
    values = {"epochs": 4, "min_epochs": 2, "patience": 3, "learning_rate": 5e-3, "device": "cpu", **options}
    return TrainSettings.parse({"model": model, **values})


def test_each_stage_is_trained_from_the_best_weights_of_the_one_before(cohort: Cohort, tmp_path: Path) -> None:
    result = train(*cohort, tmp_path, settings=quick(learning_rate=0.05))
    history = result.history
    assert history["stage"].unique().tolist() == ["project", "attend"]
    assert history["epoch"].tolist() == list(range(len(history)))
    rates = history.groupby("stage")["lr"].first()
    assert rates.tolist() == [0.05, 0.05], "each stage has its own cosine"
    entered = [(stage, names) for stage, names in Staged.log if stage in Staged.stages]
    assert entered[0][1][:2] == ["project.0.weight", "project.0.bias"]
    assert not [name for name in entered[1][1] if name.startswith("project")]
    first, second = (state for kind, state in Staged.log if kind == "prepare")
    assert (first["centre"] == 0).all()
    steps = [weight for kind, weight in Staged.log if kind == "step"]
    epochs = history["stage"].value_counts()
    best = int(history["val_loss"][: epochs["project"]].idxmin())
    # the weights before the first step of the epoch after the best one, 24 steps an epoch
    if best + 1 < epochs["project"]:
        assert torch.equal(second["project.0.weight"], steps[24 * (best + 1)])
    for weight in steps[24 * epochs["project"] :]:
        assert torch.equal(weight, second["project.0.weight"]), "frozen in the second stage"
    loaded = load_model(tmp_path, device="cpu").model
    assert loaded.stage == "attend"
    assert loaded.centre.abs().sum() > 0, "what a stage has prepared is saved"
    last = history[history["stage"] == "attend"]
    assert result.folds[0]["best_epoch"] == last["epoch"].loc[last["val_loss"].idxmin()]
    assert stage_begins(history) == [epochs["project"]]


def test_early_stopping_counts_in_each_stage() -> None:
    rows = [{"epoch": epoch, "stage": stage, "val_loss": loss} for epoch, stage, loss in
            [(0, "a", 0.1), (1, "a", 0.2), (2, "b", 0.5), (3, "b", 0.4), (4, "b", 0.6)]]  # fmt: skip
    assert best_epoch(rows, TrainSettings()) == 3


@pytest.mark.parametrize("steps", [30, 24 * 4, 24 * 4 + 1, 24 * 6 + 3])
def test_a_stopped_run_goes_on_in_its_stage_with_the_same_numbers(
    steps: int, cohort: Cohort, tmp_path: Path
) -> None:
    """Stopped in the first stage, at its end, at the start of the second, and within it."""
    settings = quick(patience=9)
    train(*cohort, tmp_path / "whole", settings=settings)
    Staged.log.clear()
    left = steps

    def stop(progress: Progress) -> None:
        nonlocal left
        left -= progress.stage == "train"
        if left < 0:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        train(*cohort, tmp_path / "parts", settings=settings, progress=stop)
    train(*cohort, tmp_path / "parts", settings=settings, resume=True)
    for name in ("history.csv", "predictions.csv", "metrics.json", "fold-0-0/model.safetensors"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_recipe_applies_where_nothing_was_set() -> None:
    shared = resolve(TrainSettings(model=ModelSettings(name="staged")))
    assert (shared.epochs, shared.optimizer) == (TrainSettings().epochs, "adam"), "the recipe is asked for"
    found = resolve(TrainSettings(model=ModelSettings(name="staged"), recipe="paper", epochs=2))
    assert (found.epochs, found.optimizer, found.learning_rate) == (2, "adamw", 0.01)
    assert resolve(found) == found, "what is resolved stays"
    assert resolve(TrainSettings.parse(found.model_dump())) == found
    protocol = {"patience": 7, "epochs": 3}
    found = resolve(TrainSettings(model=ModelSettings(name="staged"), recipe="paper"), protocol=protocol)
    assert (found.patience, found.epochs) == (7, 5), "a recipe is more special than a protocol"
    plain = resolve(TrainSettings(model=ModelSettings(name="abmil+groups")), protocol=protocol)
    assert (plain.patience, plain.epochs, plain.model.groups) == (7, 3, True)
    assert TrainSettings.parse({"model": {"name": "staged"}}).optimizer == "adam"


def test_a_recipe_with_a_wrong_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AGGREGATORS, "staged", card_with({"speed": 3}))
    with pytest.raises(SettingsError, match="unknown fields: speed"):
        resolve(TrainSettings(model=ModelSettings(name="staged"), recipe="paper"))
