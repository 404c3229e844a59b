"""How ``import`` and ``group`` report the result of each slide."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .console import err, print_error, print_json, print_line

if TYPE_CHECKING:
    from ..convert.importing import ImportedBag
    from ..process.results import SlideResult


def tell(results: Iterable[SlideResult[ImportedBag]], project: Path, *, quiet: bool, json: bool) -> None:
    """Print each slide as it finishes and the totals; raises :class:`typer.Exit` with code 1 if some failed."""
    rows: list[dict[str, object]] = []
    failed = 0
    for item in results:
        rows.append(item.row())
        if item.error is not None:
            failed += 1
            print_error(item.error)
            continue
        if not quiet:
            err.print(f"[{len(rows)}] {item.summary()}", markup=False)
        for note in () if item.result is None else item.result.notes:
            err.print(f"note: {item.slide_id}: {note}", markup=False)
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
