"""``sam-mil-engine predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import layout
from ..models.registry import names
from ..settings.changes import merge
from .assignments import read_config
from .console import err, print_error, print_json, print_line, print_table, progress
from .options import (
    Config,
    Device,
    Json,
    Preset,
    Quiet,
    SegmenterName,
    Set,
    SourceMpp,
    changed_settings,
    slide_paths,
)


def command(
    model: Annotated[
        str,
        typer.Argument(
            help=f"A run, a model folder, or one of {', '.join(names('classifier'))}; auto takes the bundled one"
            " that fits the slide.",
            metavar="RUN|MODEL",
        ),
    ],
    inputs: Annotated[
        list[Path], typer.Argument(help="Slides, bags (*.h5), or folders of them.", metavar="SLIDE|BAG...")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Output folder.", metavar="DIR")],
    segmenter: SegmenterName = None,
    source_mpp: SourceMpp = None,
    preset: Preset = None,
    config: Config = None,
    assignments: Set = None,
    device: Device = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Predict slides or bags: class probabilities, and scores of every patch and group.

    Slides are processed first, with the settings that the model expects; --config and --set override them.
    Writes predictions.csv and, for every slide, tables (CSV), groups (GeoJSON for QuPath), maps (OME-Zarr) and
    images (PNG). Warns where a slide lies outside of what the model was trained on (domain_distance above 1).
    Ends with exit code 1 if some failed.

    Examples:  sam-mil-engine predict auto slide.svs -o result  ·
    sam-mil-engine predict study/runs/first study/bags -o study/predicted
    """
    from ..files import atomic_write
    from ..prediction.batch import predict_paths, settings_for
    from ..tables.writing import csv_records
    from ..training.checkpoint import load_candidates

    models = load_candidates(model, device=device)
    paths = _inputs(inputs)
    expected = settings_for(models[0], source_mpp=source_mpp, segmenter=segmenter, preset=preset)
    values = merge(expected.model_dump(exclude_none=True), read_config(config))
    settings = changed_settings(values, config=None, assignments=assignments)
    rows: list[dict[str, object]] = []
    table: list[dict[str, object]] = []
    failed = 0
    with progress(quiet=quiet) as report:
        for item in predict_paths(models, paths, output, settings=settings, device=device, progress=report):
            rows.append(item.row())
            if item.error is not None:
                failed += 1
                print_error(item.error)
            elif item.result is not None:
                table.append(item.result.row())
                scores = item.result.scores
                if scores.warning is not None:
                    err.print(f"warning: {scores.slide_id}: {scores.warning}", markup=False)
                for note in scores.attrs.get("notes", ()):
                    err.print(f"note: {scores.slide_id}: {note}", markup=False)
    atomic_write(output / layout.PREDICTIONS, csv_records(table))
    if json:
        print_json(rows)
    else:
        print_table(table, title="Research use only; not for diagnosis")
        print_line(f"results: {output}")
    if failed:
        err.print(f"{failed} of {len(paths)} failed")
        raise typer.Exit(1)


def _inputs(items: list[Path]) -> list[Path]:
    """Bags of each project or folder of bags, else the slides of a folder; files as they are.

    Raises
    ------
    DataError
        If two of them have the same name, so that their results would overwrite each other.
    """
    from ..bag.native import bags_in, name_of_bag
    from ..slide.finding import require_own_names
    from ..slide.info import slide_id_of

    paths: list[Path] = []
    for item in items:
        paths.extend(bags_in(item) or slide_paths([item]))
    require_own_names(
        (name_of_bag(path) if path.suffix == ".h5" else slide_id_of(path), path) for path in dict.fromkeys(paths)
    )
    return list(dict.fromkeys(paths))
