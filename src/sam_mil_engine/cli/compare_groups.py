"""``sam-mil-engine compare-groups``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import print_json, print_line, print_table, progress
from .options import Json, Quiet


def command(
    bag: Annotated[Path, typer.Argument(help="Bag of a slide (*.h5), or a folder of bags.", metavar="BAG|DIR")],
    annotations: Annotated[
        Path,
        typer.Option(
            *("--annotations", "-a"),
            help="GeoJSON, ASAP, ImageScope or HALO XML; a folder with a file per slide for a folder of bags.",
            metavar="FILE|DIR",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="A run or model, to compare its attention and probability too.", metavar="RUN|MODEL"
        ),
    ] = None,
    plane: Annotated[
        str,
        typer.Option("--plane", help="Plane of GeoJSON that has several: depth and time, from 0.", metavar="Z[,T]"),
    ] = "0",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Table of all groups, or of all slides.", metavar="CSV"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compare SAM groups with an annotation: purity, recall and overlap of each, the best covering set, patch AUC.

    A folder of bags and a folder of annotations give one row per slide and class, and pooled rows.

    Example:  sam-mil-engine compare-groups study/bags/slide.h5 --annotations slide.geojson -o groups.csv
    """
    from ..prediction.comparison import compare_bag, write_rows

    if bag.is_dir():
        _cohort(bag, annotations, model=model, plane=_plane(plane), output=output, device=device, quiet=quiet,
                json=json)  # fmt: skip
        return
    comparisons = compare_bag(bag, annotations, model=model, plane=_plane(plane), device=device)
    summaries = [comparison.summary() for comparison in comparisons]
    if output is not None:
        write_rows(output, [row for comparison in comparisons for row in comparison.to_rows()])
    if json:
        print_json(summaries)
        return
    for summary in summaries:
        print_table([{"metric": name, "value": value} for name, value in summary.items()])
    if output is not None:
        print_line(f"all groups: {output}")


def _cohort(
    bags: Path,
    annotations: Path,
    *,
    model: str | None,
    plane: tuple[int, int],
    output: Path | None,
    device: str,
    quiet: bool,
    json: bool,
) -> None:
    from ..prediction.cohort_comparison import compare_cohort
    from ..prediction.comparison import write_rows

    if not annotations.is_dir():
        raise typer.BadParameter("a folder of bags needs a folder of annotations", param_hint="--annotations")
    with progress(quiet=quiet) as report:
        rows = compare_cohort(bags, annotations, model=model, plane=plane, device=device, progress=report)
    if output is not None:
        write_rows(output, rows)
    if json:
        print_json(rows)
        return
    columns = ("slide_id", "annotation", "segments", "best_iou", "cover_iou", "cover_purity", "cover_recall")
    print_table([{name: row[name] for name in columns} for row in rows])
    if output is not None:
        print_line(f"all slides: {output}")


def _plane(text: str) -> tuple[int, int]:
    """Return depth and time of ``Z`` or ``Z,T``."""
    numbers = text.split(",")
    if len(numbers) > 2 or not all(number.strip().isdecimal() for number in numbers):
        raise typer.BadParameter(
            f"{text!r} is not one or two whole numbers, such as 2 or 2,0", param_hint="--plane"
        )
    z, t = map(int, [*numbers, "0"][:2])
    return z, t
