"""``sam-mil-engine compare-groups``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import print_json, print_line, print_table
from .options import Json


def command(
    bag: Annotated[Path, typer.Argument(help="The bag of a processed slide (*.h5).", metavar="BAG")],
    annotations: Annotated[
        Path,
        typer.Option("--annotations", "-a", help="GeoJSON, ASAP, ImageScope or HALO XML.", metavar="FILE"),
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
        Path | None, typer.Option("--output", "-o", help="Table of all groups.", metavar="CSV")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    json: Json = False,
) -> None:
    """Compare SAM groups with an annotation: purity, recall and overlap of each, the best covering set, patch AUC.

    Example:  sam-mil-engine compare-groups study/bags/slide.h5 --annotations slide.geojson -o groups.csv
    """
    from ..prediction.comparison import compare_bag, write_rows

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


def _plane(text: str) -> tuple[int, int]:
    """Return depth and time of ``Z`` or ``Z,T``."""
    numbers = text.split(",")
    if len(numbers) > 2 or not all(number.strip().isdecimal() for number in numbers):
        raise typer.BadParameter(
            f"{text!r} is not one or two whole numbers, such as 2 or 2,0", param_hint="--plane"
        )
    z, t = map(int, [*numbers, "0"][:2])
    return z, t
