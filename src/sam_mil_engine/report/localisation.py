"""What ``localisation.json`` of a run says, as a table: how well its maps find what is annotated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from .. import layout
from ..errors import DataError
from .content import Cell, Column, Table
from .tables import number


def localisation_table(runs: Mapping[str, Path]) -> Table | None:
    """Return one row per metric and one column per run (name -> folder); None where no run was compared."""
    files = {name: folder / layout.LOCALISATION for name, folder in runs.items()}
    read = {name: _metrics(file) for name, file in files.items() if file.is_file()}
    if not read:
        return None
    metrics = list(next(iter(read.values())))
    columns = (Column("Metric", numeric=False), *(Column(name, help="with its 95% interval") for name in read))
    rows = tuple(
        (Cell(metric, metric), *(_cell(found.get(metric)) for found in read.values())) for metric in metrics
    )
    note = (
        "Patches at or above the operating point are marked. Sensitivity is that of lesions, at so many false"
        " positives per slide without tumour; the FROC score is its mean."
    )
    return Table("Maps against annotations", columns, rows, note=note)


def _metrics(file: Path) -> dict[str, dict[str, float | None]]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8"))["figures"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"not readable ({error})", where=file, hint="Evaluate the run again") from error


def _cell(found: Mapping[str, float | None] | None) -> Cell:
    value = None if found is None else found.get("value")
    if found is None or value is None:
        return number(float("nan"))
    low, high = found.get("low"), found.get("high")
    interval = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
    return Cell(f"{value:.3f}{interval}", value)
