"""``sam-mil-engine cross-validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..settings import PROTOCOLS, ModelSettings, ProtocolSettings
from ..tables.columns import Columns
from .assignments import read_config
from .comparison_tables import print_comparison, print_localisation, records
from .console import err, print_json, print_line, progress
from .label_options import LabelColumn, PatientColumn, SlideColumn
from .options import Config, Json, Quiet, Set
from .train_options import (
    MODELS,
    Annotations,
    AsReleased,
    Bags,
    Epochs,
    Groups,
    Join,
    JoinOption,
    Labels,
    LearningRate,
    Level,
    LevelOption,
    MinEpochs,
    NegativeClass,
    Patience,
    Recipe,
    Resume,
    Seed,
    TensorBoard,
    TrainDevice,
    check_as_released,
    joins_bags,
    of_probabilities,
    train_settings,
)

_plain = ProtocolSettings()


def command(
    bags: Bags,
    labels: Labels,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run, or of the runs.", metavar="RUN")
    ],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model", help=f"{MODELS}; +groups after a name adds group tokens. Repeatable.", metavar="NAME"
        ),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help=f"{', '.join(PROTOCOLS)}: folds and early stopping as in the paper.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help=f"Folds. (default: the protocol's, else {_plain.folds})")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help=f"Repeats of all folds. (default: the protocol's, else {_plain.repeats})")
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option("--splits", help="Existing splits; also CLAM's splits_K.csv or the folder of them."),
    ] = None,
    patient_column: PatientColumn = None,
    label_column: LabelColumn = None,
    slide_column: SlideColumn = None,
    groups: Groups = None,
    config: Config = None,
    assignments: Set = None,
    recipe: Recipe = None,
    epochs: Epochs = None,
    patience: Patience = None,
    min_epochs: MinEpochs = None,
    learning_rate: LearningRate = None,
    seed: Seed = None,
    negative_class: NegativeClass = None,
    annotations: Annotations = None,
    level: LevelOption = Level.slide,
    join: JoinOption = Join.max,
    device: TrainDevice = None,
    as_released: AsReleased = False,
    tensorboard: TensorBoard = False,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", help="Train folds in parallel: local, or a Dask scheduler (tcp://HOST:PORT)."),
    ] = None,
    resume: Resume = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train and test models on the same folds; metrics with intervals, and every model against the first.

    With --level patient, the metrics printed are those of patients (patients.csv, patients.json in each run); with
    --join bags, the models are trained and tested with one bag per patient.
    Several models write one run each and comparison.csv next to them. Variants of models may be named in the
    configuration: a table models.NAME holds what is set under "model" otherwise.

    Example:  sam-mil-engine cross-validate --bags study/bags --labels labels.csv --protocol c16
    --model sam-mil --model abmil+groups -o study/runs/first
    """
    from ..cluster.folds import on_cluster
    from ..prediction.localisation import bags_of_run, localise_run
    from ..training.comparison import compare_runs
    from ..training.cross_validation import cross_validate
    from ..training.patient_level import at_patient_level, write_patients
    from ..training.plan import run_in_sequence

    maps = {}
    values = read_config(config)
    variants = values.pop("models", {})
    settings = train_settings(
        values,
        assignments=assignments,
        model={"groups": groups, "as_released": as_released},
        tensorboard=tensorboard,
        recipe=recipe,
        bags="patient" if joins_bags(level, join, annotations) else None,
        epochs=epochs,
        patience=patience,
        min_epochs=min_epochs,
        learning_rate=learning_rate,
        seed=seed,
        negative_class=negative_class,
        device=device,
    )
    base = settings.model.model_dump(exclude_unset=True)
    chosen = {name: ModelSettings.parse({**base, "name": name}) for name in models or ()}
    chosen |= {name: ModelSettings.parse({**base, **own}) for name, own in variants.items() if not models}
    check_as_released(as_released, [model.name for model in chosen.values()] or [settings.model.name])
    with progress(quiet=quiet) as report:
        result = cross_validate(
            bags,
            labels,
            output,
            models=chosen,
            protocol=protocol,
            settings=settings,
            folds=folds,
            repeats=repeats,
            splits=splits,
            columns=Columns(slide=slide_column, label=label_column, patient=patient_column),
            runner=run_in_sequence if scheduler is None else on_cluster(scheduler),
            resume=resume,
            progress=report,
        )
        if annotations is not None:
            for name, run in result.runs.items():
                maps[name] = localise_run(
                    run,
                    bags_of_run(run, bags),
                    annotations,
                    negative=settings.negative_class,
                    device=settings.device,
                    progress=report,
                )
    by_name, comparison = dict(result.runs), result.comparison
    if level is Level.patient and join is not Join.bags:
        by_name = {name: at_patient_level(run, join=of_probabilities(join)) for name, run in by_name.items()}
        for run in by_name.values():
            write_patients(run, join=of_probabilities(join))
        comparison = compare_runs(by_name)
    if json:
        runs = {
            name: {
                "run": str(run.out_dir),
                **run.summary,
                **({"maps": maps[name].plain()} if name in maps else {}),
            }
            for name, run in by_name.items()
        }
        print_json({"runs": runs, "comparison": records(comparison)})
        return
    of = "" if level is Level.slide else ", patients"
    print_comparison(comparison, title=f"{len(next(iter(result.runs.values())).folds)} folds{of}")
    for name, found in maps.items():
        print_localisation(found, title=name)
    print_line(f"{'run' if len(result.runs) == 1 else 'runs'}: {output}")
    if not quiet:
        err.print(f"next: sam-mil-engine report {output}", markup=False)
