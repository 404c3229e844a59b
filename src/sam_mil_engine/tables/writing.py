"""CSV files out: cells that a spreadsheet would run as a formula are quoted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from .cells import quoted


def csv_text(heading: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as the text of a CSV file; without a heading where that is empty, None as an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if heading:
        writer.writerow(heading)
    writer.writerows([quoted(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return text.getvalue()


def csv_records(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows of the same columns as the text of a CSV file; empty where there are no rows."""
    return csv_text(list(rows[0]), [list(row.values()) for row in rows]) if rows else ""
