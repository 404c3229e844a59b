"""``sam-mil-engine export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..tables.columns import Columns
from .console import err, print_error, print_json, print_line, progress
from .label_options import LabelColumn, PatientColumn, SlideColumn
from .options import Json, Quiet
from .source_options import EncoderName, Format, Patches, PatchSizePx0, Slides, SourceMpp, make_source


def command(
    bags: Annotated[
        Path, typer.Argument(help="A project, a folder of bags, or features of another tool.", metavar="BAGS")
    ],
    to: Annotated[
        str, typer.Option("--to", help="clam, trident, sam-mil, qupath, geojson, csv, ome-zarr or ome-zarr-0.4.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Output folder.", metavar="DIR")],
    labels: Annotated[
        Path | None, typer.Option("--labels", help="labels.csv, to be written in the tool's format.", metavar="CSV")
    ] = None,
    patient_column: PatientColumn = None,
    label_column: LabelColumn = None,
    slide_column: SlideColumn = None,
    splits: Annotated[
        Path | None,
        typer.Option(
            "--splits", help="A run's splits.csv, to be written as CLAM's splits_0.csv and so on.", metavar="CSV"
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option("--scores", help="With qupath: a folder that predict wrote.", metavar="DIR"),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            "--annotations", help="With qupath: a folder of outlines, named as their slides.", metavar="DIR"
        ),
    ] = None,
    slides: Slides = None,
    format: Format = "auto",
    patches: Patches = None,
    patch_size_px0: PatchSizePx0 = None,
    source_mpp: SourceMpp = None,
    encoder: EncoderName = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write bags in the format of another tool. Ends with exit code 1 if some slides failed.

    Examples:  sam-mil-engine export study --to clam -o for-clam --labels labels.csv  ·
    sam-mil-engine export study --to trident -o for-trident  ·
    sam-mil-engine export study --to qupath --scores result -o for-qupath
    """
    from ..convert.exporting import export_slides

    source = make_source(
        bags,
        format=format,
        patches=patches,
        slides=slides,
        process_list=None,
        patch_size_px0=patch_size_px0,
        source_mpp=source_mpp,
        encoder=encoder,
    )
    columns = Columns(slide=slide_column, label=label_column, patient=patient_column)
    rows: list[dict[str, object]] = []
    failed = 0
    with progress(quiet=quiet) as report:
        results = export_slides(
            source,
            output,
            to=to,
            labels=labels,
            splits=splits,
            columns=columns,
            scores=scores,
            annotations=annotations,
            progress=report,
        )
        for item in results:
            rows.append(item.row())
            if item.error is not None:
                failed += 1
                print_error(item.error)
    if json:
        print_json(rows)
    else:
        print_line(f"{len(rows) - failed} of {len(rows)} slides written for {to}: {output}")
    if failed:
        err.print(f"{failed} failed")
        raise typer.Exit(1)
