"""``sam-mil-engine report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import print_line, progress
from .options import Quiet


def command(
    folder: Annotated[
        Path, typer.Argument(help="A project, a run, or the output of predict.", metavar="PROJECT|RUN|PREDICTION")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Output file. (default: report.html, or report-anonymous.html, in the folder)",
            metavar="FILE",
        ),
    ] = None,
    anonymous: Annotated[
        bool,
        typer.Option(
            "--anonymous", help="Call slides by numbers, and leave out paths: for a page that leaves the hospital."
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page that needs no other file: images, curves and tables.

    Example:  sam-mil-engine report study/runs/first
    """
    from ..report.anonymous import anonymous as without_names
    from ..report.page import write_report
    from ..report.project import build_report

    with progress(quiet=quiet) as report:
        content = build_report(folder, progress=report)
    if anonymous:
        content = without_names(content)
    name = "report-anonymous.html" if anonymous else "report.html"
    print_line(str(write_report(output or folder / name, content)))
