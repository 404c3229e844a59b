"""``sam-mil-engine evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..tables.columns import Columns
from .comparison_tables import print_comparison, print_localisation
from .console import print_json, print_line, progress
from .label_options import LabelColumn, PatientColumn, SlideColumn
from .options import Device, Json, Quiet
from .train_options import (
    Annotations,
    Bags,
    Join,
    JoinOption,
    Labels,
    Level,
    LevelOption,
    joins_bags,
    of_probabilities,
)


def command(
    run: Annotated[
        str, typer.Argument(help="A run, a model folder, or the name of a bundled model.", metavar="RUN|MODEL")
    ],
    bags: Bags,
    labels: Labels,
    output: Annotated[Path, typer.Option("--output", "-o", help="Output folder for the metrics.", metavar="DIR")],
    patient_column: PatientColumn = None,
    label_column: LabelColumn = None,
    slide_column: SlideColumn = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Allow slides named like those that the run was trained on.")
    ] = False,
    annotations: Annotations = None,
    level: LevelOption = Level.slide,
    join: JoinOption = Join.max,
    device: Device = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Metrics of a trained run on other data: every fold's model, with the threshold it was given in training.

    With --level patient, the metrics printed are those of patients (patients.csv, patients.json); with --join bags,
    all slides of a patient are predicted as one bag.
    With --annotations also how well its maps find what is outlined (localisation.csv, localisation.json).

    Example:  sam-mil-engine evaluate study/runs/first --bags other/bags --labels other.csv -o other/evaluated
    """
    joined = joins_bags(level, join, annotations)
    from ..prediction.evaluation import evaluate_run
    from ..prediction.localisation import bags_of_run, localise_evaluation
    from ..training.comparison import compare_runs
    from ..training.patient_level import at_patient_level, write_patients

    found = None
    with progress(quiet=quiet) as report:
        result = evaluate_run(
            run,
            bags,
            labels,
            output,
            columns=Columns(slide=slide_column, label=label_column, patient=patient_column),
            allow_seen=allow_seen,
            join_bags=joined,
            device=device,
            progress=report,
        )
        if annotations is not None:
            paths = bags_of_run(result, bags)
            found = localise_evaluation(result, run, paths, annotations, device=device, progress=report)
    if level is Level.patient and not joined:
        result = at_patient_level(result, join=of_probabilities(join))
        write_patients(result, join=of_probabilities(join))
    if json:
        maps = {} if found is None else {"maps": found.plain()}
        print_json({"output": str(output), **result.summary, **maps, "folds": result.folds})
        return
    n = len(result.folds)
    title = f"{n} model{'s' if n > 1 else ''} on other data" + ("" if level is Level.slide else ", patients")
    print_comparison(compare_runs({Path(run).name: result}), title=title)
    if found is not None:
        print_localisation(found, title=title)
    print_line(f"metrics: {output}")
