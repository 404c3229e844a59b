"""``sam-mil-engine train``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import SettingsError
from ..settings import ModelSettings, TrainSettings
from .console import err, print_json, print_line, print_table, progress
from .options import Json, Quiet

_train, _model = TrainSettings(), ModelSettings()


def command(
    bags: Annotated[Path, typer.Option("--bags", help="Folder of bags (*.h5).", metavar="DIR")],
    labels: Annotated[
        Path, typer.Option("--labels", help="Table: slide_id, label, perhaps patient_id, split.", metavar="CSV")
    ],
    run: Annotated[Path, typer.Option("--output", "-o", help="The folder of the run.", metavar="RUN")],
    model: Annotated[
        str | None, typer.Option("--model", help=f"sam-mil, abmil, mean or max. (default: {_model.name})")
    ] = None,
    groups: Annotated[
        bool | None,
        typer.Option("--groups/--no-groups", help="Group features as tokens. (default: as the model has it)"),
    ] = None,
    splits: Annotated[
        Path | None, typer.Option("--splits", help="Table with slide_id, split from elsewhere.", metavar="CSV")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings as TOML; options win over it.", metavar="FILE.toml")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help=f"Epochs at most. (default: {_train.epochs})")] = None,
    patience: Annotated[
        int | None, typer.Option(help=f"Epochs without a better validation loss. (default: {_train.patience})")
    ] = None,
    min_epochs: Annotated[
        int | None, typer.Option(help=f"Epochs before it may stop early. (default: {_train.min_epochs})")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help=f"Adam's step. (default: {_train.learning_rate})")
    ] = None,
    seed: Annotated[int | None, typer.Option(help=f"Seed of splits and weights. (default: {_train.seed})")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps. (default: auto)")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train one model on one split: Adam, early stopping on validation slides, figures on test slides.

    Example:  sam-mil-engine train --bags study/bags --labels labels.csv --model sam-mil -o study/runs/first
    """
    from ..train.loop import train

    settings = _settings(
        config,
        model={"name": model, "groups": groups},
        epochs=epochs,
        patience=patience,
        min_epochs=min_epochs,
        learning_rate=learning_rate,
        seed=seed,
        device=device,
    )
    with progress(quiet=quiet) as report:
        result = train(bags, labels, run, settings=settings, splits=splits, resume=resume, progress=report)
    if json:
        print_json({"run": str(run), "folds": result.folds})
        return
    for fold in result.folds:
        rows = [{"split": part, **fold[part]} for part in ("val", "test") if fold[part]]
        print_table(rows, title=f"{settings.model.name}, best epoch {fold['best_epoch'] + 1} of {fold['epochs']}")
    print_line(f"run: {run}")
    if not quiet:
        err.print(f"next: sam-mil-engine report {run}", markup=False)


def _settings(config: Path | None, *, model: dict[str, Any], **options: Any) -> TrainSettings:
    """Read the settings of the file and overrule them by what was typed."""
    values: dict[str, Any] = {}
    if config is not None:
        try:
            values = tomllib.loads(config.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"the settings cannot be read ({error})", where=config) from error
    values |= {name: value for name, value in options.items() if value is not None}
    chosen = {name: value for name, value in model.items() if value is not None}
    if chosen:
        values["model"] = {**values.get("model", {}), **chosen}
    return TrainSettings.parse(values)
