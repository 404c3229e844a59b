"""``sam-mil-engine compare-models``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import layout
from ..errors import SettingsError
from .comparison_tables import print_comparison, print_recipes, records
from .console import print_json, print_line
from .options import Json
from .train_options import Join, JoinOption, Level, LevelOption, of_probabilities


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Runs on the same folds, or one folder of them; the others are compared with the first.",
            metavar="RUN...",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for comparison.csv. (default: not written)", metavar="DIR"),
    ] = None,
    level: LevelOption = Level.slide,
    join: JoinOption = Join.max,
    json: Json = False,
) -> None:
    """Compare models on the same folds: paired bootstrap over slides and DeLong's test of the AUC.

    Where patients have several slides, the bootstrap draws patients, and there is no DeLong's test.

    Example:  sam-mil-engine compare-models study/runs/first/sam-mil study/runs/first/abmil -o study
    """
    from ..training.comparison import compare_runs, write_comparison
    from ..training.patient_level import at_patient_level
    from ..training.recipe import saved_recipe
    from ..training.run_files import find_runs, read_run

    folders = find_runs(runs)
    found = {name: read_run(folder) for name, folder in folders.items()}
    if join is Join.bags:
        raise SettingsError(
            "bags are joined in training, not in a comparison",
            hint="Compare runs of `sam-mil-engine cross-validate --level patient --join bags` as they are",
        )
    if level is Level.patient:
        found = {name: at_patient_level(run, join=of_probabilities(join)) for name, run in found.items()}
    table = compare_runs(found)
    if output is not None:
        write_comparison(output / layout.COMPARISON, table)
    if json:
        print_json(records(table))
        return
    print_comparison(
        table, title="comparison" if level is Level.slide else f"patients, by the {join.value} of their slides"
    )
    print_recipes({name: saved_recipe(folder) for name, folder in folders.items()})
    if output is not None:
        print_line(f"table: {output / 'comparison.csv'}")
