"""Terminal output shared by the commands: errors, tables, JSON and progress. Nothing here computes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table

from ..errors import SamMilError
from ..progress import Progress, ProgressCallback, silent
from .progress_lines import ProgressLines

#: Results go to standard output, everything else to standard error, so that results can be piped.
out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def print_error(error: BaseException) -> None:
    """Print what is wrong, where, and what to do, in at most two lines."""
    if isinstance(error, SamMilError):
        where = "" if error.where is None else f"{error.where}: "
        err.print(f"error: {where}{error.what}", style="red", markup=False)
        if error.hint:
            err.print(f"  {error.hint}.", markup=False)
    else:
        err.print(f"error: {type(error).__name__}: {error}", style="red", markup=False)


def print_dashboard(link: str) -> None:
    """Print where a browser shows what Dask's workers do."""
    charts = "" if find_spec("bokeh") else " (its charts need: pip install bokeh)"
    err.print(f"Dask dashboard: {link}{charts}", markup=False)


def print_json(value: object) -> None:
    """Print a result as JSON on standard output."""
    print_line(json.dumps(value, indent=2, default=str))


def print_line(text: str) -> None:
    """Print one line of a result as it is."""
    out.print(text, markup=False)


def print_table(rows: Sequence[Mapping[str, object]], *, title: str | None = None) -> None:
    """Print rows of the same columns as a table."""
    if not rows:
        return
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, overflow="fold", justify="right" if _is_number(rows[0][name]) else "left")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    out.print(table)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[ProgressCallback]:
    """Yield a callback that draws bars on a terminal, writes plain lines into a log, or is silent."""
    if quiet:
        yield silent
    elif err.is_terminal:
        columns: tuple[Any, ...] = (
            SpinnerColumn(),
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[message]}", style="dim"),
        )
        with Bars(*columns, console=err, transient=True) as bars:
            yield _draw(bars)
    else:
        yield ProgressLines(lambda line: err.print(line, markup=False))


def _draw(bars: Bars) -> ProgressCallback:
    """One bar per stage; of many slides at once, one bar per slide, with the name of its stage."""
    tasks: dict[str, TaskID] = {}
    names: dict[str, str] = {}

    def show(report: Progress) -> None:
        if report.notice:
            bars.console.print(f"{report.stage}: {report.message}", markup=False)
            return
        bar, stage, done, total = report.slide or report.stage, report.stage, report.done, report.total or None
        ended = bool(report.total) and report.done >= report.total
        if report.slide and stage == "process":  # which stage begins, or that the slide ends
            stage, done, total = report.message, 0, None
        elif report.slide:
            ended = False
        name = f"{report.slide} {stage}" if report.slide else stage
        if bar not in tasks:
            if ended:
                return
            tasks[bar] = bars.add_task(name, total=total, unit=report.unit, message="")
        elif names[bar] != name:
            bars.reset(tasks[bar], total=total, description=name)
        names[bar] = name
        bars.update(tasks[bar], completed=done, total=total, message=report.message, unit=report.unit)
        if ended:
            bars.remove_task(tasks.pop(bar))

    return show
