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
        typer.Option("--output", "-o", help="Output file. (default: report.html in the folder)", metavar="FILE"),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page that needs no other file: images, curves and tables.

    Example:  sam-mil-engine report study/runs/first
    """
    from ..report.page import write_report
    from ..report.project import build_report

    with progress(quiet=quiet) as report:
        content = build_report(folder, progress=report)
    print_line(str(write_report(output or folder / "report.html", content)))
