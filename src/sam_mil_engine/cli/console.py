"""What the commands share on the terminal: errors, tables, JSON and progress. Nothing here computes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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

#: Results go to standard output, everything else to standard error, so that results can be piped.
out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, soft_wrap=True, highlight=False)

#: Seconds between two plain lines of one stage in a log.
_LOG_EVERY = 10.0


def print_error(error: BaseException) -> None:
    """Print what is wrong, where, and what to do, in at most two lines."""
    if isinstance(error, SamMilError):
        where = "" if error.where is None else f"{error.where}: "
        err.print(f"error: {where}{error.what}", style="red", markup=False)
        if error.hint:
            err.print(f"  {error.hint}.", markup=False)
    else:
        err.print(f"error: {type(error).__name__}: {error}", style="red", markup=False)


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
        yield _log_lines()


def _draw(bars: Bars) -> ProgressCallback:
    tasks: dict[str, TaskID] = {}

    def show(report: Progress) -> None:
        total = report.total or None
        if report.stage not in tasks:
            tasks[report.stage] = bars.add_task(report.stage, total=total, unit=report.unit, message="")
        task = tasks[report.stage]
        bars.update(task, completed=report.done, total=total, message=report.message, unit=report.unit)
        if report.total and report.done >= report.total:
            bars.remove_task(tasks.pop(report.stage))

    return show


def _log_lines() -> ProgressCallback:
    last: dict[str, float] = {}
    start: dict[str, float] = {}

    def show(report: Progress) -> None:
        now = time.monotonic()
        if report.done == 0 or report.stage not in start:
            start[report.stage] = now
            last[report.stage] = now
        finished = bool(report.total) and report.done >= report.total
        if finished or now - last[report.stage] >= _LOG_EVERY:
            last[report.stage] = now
            spent = now - start[report.stage]
            left = spent / report.done * (report.total - report.done) if report.done and report.total else None
            eta = "" if left is None or finished else f", about {left:.0f} s left"
            message = f" {report.message}" if report.message else ""
            count = f"{report.done}/{report.total}" if report.total else f"{report.done}"
            err.print(f"{report.stage}: {count} {report.unit} in {spent:.1f} s{eta}{message}", markup=False)

    return show
