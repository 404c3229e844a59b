"""Options shared by ``train`` and ``cross-validate``, and how they become settings."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..errors import SettingsError
from ..mil.building import aggregator_card
from ..models.registry import cards, names
from ..settings import ModelSettings, TrainSettings
from .assignments import assign


class Level(StrEnum):
    """What metrics are computed for."""

    slide = "slide"
    patient = "patient"


class RecipeName(StrEnum):
    """How models are trained."""

    shared = "shared"
    paper = "paper"


class Join(StrEnum):
    """How the slides of a patient are joined."""

    max = "max"
    mean = "mean"
    bags = "bags"


_train, _model = TrainSettings(), ModelSettings()
MODELS = ", ".join(names("aggregator"))
OWN = "the recipe's"
RELEASED = ", ".join(name for name, card in cards("aggregator").items() if card.has_released_way)

Bags = Annotated[Path, typer.Option("--bags", help="Folder of bags (*.h5), or a project.", metavar="DIR")]
Labels = Annotated[
    Path,
    typer.Option(
        "--labels",
        help="Table with slide_id, label, and optionally patient_id and split; or CLAM's.",
        metavar="CSV",
    ),
]
Groups = Annotated[
    bool | None,
    typer.Option("--groups/--no-groups", help="Group features as tokens. (default: as the model has it)"),
]
Epochs = Annotated[
    int | None, typer.Option(help=f"Maximum number of epochs. (default: {OWN}, else {_train.epochs})")
]
Patience = Annotated[
    int | None,
    typer.Option(
        help=f"Epochs without a lower validation loss before training stops. (default: {_train.patience})"
    ),
]
MinEpochs = Annotated[
    int | None, typer.Option(help=f"Epochs before it may stop early. (default: {_train.min_epochs})")
]
LearningRate = Annotated[
    float | None, typer.Option(help=f"The optimiser's first step. (default: {OWN}, else {_train.learning_rate})")
]
Recipe = Annotated[
    RecipeName | None,
    typer.Option(
        "--recipe",
        help="shared: the same optimizer, rate and epochs for every model; paper: those of the model's own paper."
        f" (default: {_train.recipe})",
        show_default=False,
    ),
]
Seed = Annotated[int | None, typer.Option(help=f"Seed of splits and weights. (default: {_train.seed})")]
TrainDevice = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or mps. (default: auto)")]
AsReleased = Annotated[
    bool,
    typer.Option(
        "--as-released",
        help=f"Make {RELEASED} behave like the code released with their papers; for comparison only.",
    ),
]
NegativeClass = Annotated[
    str | None,
    typer.Option(
        "--negative-class",
        help="Class of the negative slides, used to calibrate the patches. (default: found by name)",
        metavar="NAME",
    ),
]
Annotations = Annotated[
    Path | None,
    typer.Option(
        "--annotations",
        help="Folder of outlines, one file per slide, to test how well the maps find them.",
        metavar="DIR",
    ),
]
LevelOption = Annotated[Level, typer.Option("--level", help="Compute metrics and tests per slide or per patient.")]
BagOption = Annotated[
    Level, typer.Option("--level", help="patient: all slides of a patient are one bag; else each slide is.")
]
JoinOption = Annotated[
    Join,
    typer.Option(
        "--join",
        help="How to join the slides of a patient: largest or mean probability (max, mean), or all their patches as"
        " one bag (bags).",
    ),
]
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help="Also write every epoch for TensorBoard.")]
Resume = Annotated[bool, typer.Option("--resume", help="Resume a run that was stopped.")]


def train_settings(
    values: dict[str, Any],
    *,
    assignments: list[str] | None,
    model: dict[str, Any],
    tensorboard: bool = False,
    **options: Any,
) -> TrainSettings:
    """Overrule ``values`` (of a file) by what was typed; what nobody set stays unset.

    Raises
    ------
    SettingsError
        Naming each value that is unknown or out of range.
    """
    values = {**values, **{name: value for name, value in options.items() if value is not None}}
    if tensorboard:
        values["tensorboard"] = True
    chosen = {name: value for name, value in model.items() if value}
    if model.get("groups") is False:
        chosen["groups"] = False
    if chosen:
        values["model"] = {**values.get("model", {}), **chosen}
    return TrainSettings.parse(assign(values, assignments or [], TrainSettings))


def of_probabilities(join: Join) -> Literal["max", "mean"]:
    """Return how probabilities are joined."""
    return "mean" if join is Join.mean else "max"


def joins_bags(level: Level, join: Join, annotations: Path | None) -> bool:
    """Whether patients are bags; refuses what cannot be done with them.

    Raises
    ------
    SettingsError
        If bags are to be joined without patients, or compared with annotations of slides.
    """
    if join is not Join.bags:
        return False
    if level is not Level.patient:
        raise SettingsError("--join bags is only for patients", hint="Add --level patient")
    if annotations is not None:
        raise SettingsError(
            "annotations belong to slides, not to the joined bags of patients",
            hint="Leave out --annotations, or join probabilities (--join max)",
        )
    return True


def check_as_released(as_released: bool, names: list[str]) -> None:
    """Refuse the option where no model has such a mode."""
    if as_released and not any(aggregator_card(ModelSettings(name=name)).has_released_way for name in names):
        raise SettingsError(f"--as-released is only for {RELEASED}", hint="Leave it out, or choose one of these")
