"""How ``import`` and ``group`` tell what became of each slide."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .console import err, print_error, print_json, print_line

if TYPE_CHECKING:
    from ..convert.importing import ImportedBag
    from ..process.results import SlideOutcome


def tell(outcomes: Iterable[SlideOutcome[ImportedBag]], project: Path, *, quiet: bool, json: bool) -> None:
    """Print each slide as it ends and the sum of all; raises :class:`typer.Exit` with code 1 if some failed."""
    rows: list[dict[str, object]] = []
    failed = 0
    for outcome in outcomes:
        rows.append(outcome.row())
        if outcome.error is not None:
            failed += 1
            print_error(outcome.error)
            continue
        if not quiet:
            err.print(f"[{len(rows)}] {outcome.summary()}", markup=False)
        for note in () if outcome.result is None else outcome.result.notes:
            err.print(f"note: {outcome.slide_id}: {note}", markup=False)
    if json:
        print_json(rows)
    else:
        print_line(f"{len(rows) - failed} of {len(rows)} slides done; bags in {project / 'bags'}")
    if failed:
        err.print(
            f"{failed} failed; process.csv says why. Run the same command again to retry them; finished "
            f"slides are not repeated"
        )
        raise typer.Exit(1)
