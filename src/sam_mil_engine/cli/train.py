"""``sam-mil-engine train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..settings import ModelSettings
from ..tables.columns import Columns
from .assignments import read_config
from .console import err, print_json, print_line, print_table, progress
from .label_options import LabelColumn, PatientColumn, SlideColumn
from .options import Config, Json, Quiet, Set
from .train_options import (
    MODELS,
    AsReleased,
    BagOption,
    Bags,
    Epochs,
    Groups,
    Labels,
    LearningRate,
    Level,
    MinEpochs,
    NegativeClass,
    Patience,
    Recipe,
    Resume,
    Seed,
    TensorBoard,
    TrainDevice,
    check_as_released,
    train_settings,
)


def command(
    bags: Bags,
    labels: Labels,
    run: Annotated[Path, typer.Option("--output", "-o", help="The folder of the run.", metavar="RUN")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help=f"{MODELS}; most take +groups after the name. (default: {ModelSettings().name})"
        ),
    ] = None,
    patient_column: PatientColumn = None,
    label_column: LabelColumn = None,
    slide_column: SlideColumn = None,
    groups: Groups = None,
    splits: Annotated[
        Path | None,
        typer.Option(
            "--splits", help="An existing split: a table with slide_id and split, or CLAM's.", metavar="CSV"
        ),
    ] = None,
    config: Config = None,
    assignments: Set = None,
    recipe: Recipe = None,
    epochs: Epochs = None,
    patience: Patience = None,
    min_epochs: MinEpochs = None,
    learning_rate: LearningRate = None,
    seed: Seed = None,
    negative_class: NegativeClass = None,
    level: BagOption = Level.slide,
    device: TrainDevice = None,
    as_released: AsReleased = False,
    tensorboard: TensorBoard = False,
    resume: Resume = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train one model on one split: early stopping on validation slides, metrics on test slides.

    Example:  sam-mil-engine train --bags study/bags --labels labels.csv --model sam-mil -o study/runs/first
    """
    from ..training.loop import train

    settings = train_settings(
        read_config(config),
        assignments=assignments,
        model={"name": model, "groups": groups, "as_released": as_released},
        tensorboard=tensorboard,
        recipe=recipe,
        bags="patient" if level is Level.patient else None,
        epochs=epochs,
        patience=patience,
        min_epochs=min_epochs,
        learning_rate=learning_rate,
        seed=seed,
        negative_class=negative_class,
        device=device,
    )
    check_as_released(as_released, [settings.model.name])
    with progress(quiet=quiet) as report:
        result = train(
            bags,
            labels,
            run,
            settings=settings,
            splits=splits,
            columns=Columns(slide=slide_column, label=label_column, patient=patient_column),
            resume=resume,
            progress=report,
        )
    if json:
        print_json({"run": str(run), "folds": result.folds})
        return
    for fold in result.folds:
        rows = [{"split": part, **fold[part]} for part in ("val", "test") if fold[part]]
        print_table(rows, title=f"{settings.model.name}, best epoch {fold['best_epoch'] + 1} of {fold['epochs']}")
    print_line(f"run: {run}")
    if not quiet:
        err.print(f"next: sam-mil-engine report {run}", markup=False)
