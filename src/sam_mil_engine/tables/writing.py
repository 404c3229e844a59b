"""Tables as the text of CSV files: every CSV file of this package is written here.

Cells are separated by commas, in UTF-8 without a mark; a missing value (None or NaN) is an empty cell, and a cell
that a spreadsheet would run as a formula gets a quote before it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from .cells import quoted

if TYPE_CHECKING:
    import pandas as pd


def csv_text(heading: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as the text of a CSV file; without a heading where that is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if heading:
        writer.writerow(map(_cell, heading))
    writer.writerows(map(_cell, row) for row in rows)
    return text.getvalue()


def csv_records(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows of the same columns as the text of a CSV file; empty where there are no rows."""
    heading = list(rows[0]) if rows else []
    return csv_text(heading, [[row[name] for name in heading] for row in rows])


def csv_frame(frame: pd.DataFrame) -> str:
    """Return a frame as the text of a CSV file, without its index."""
    texts = frame.select_dtypes(exclude=["number", "bool"])
    safe = frame.assign(**{str(name): texts[name].astype(object).map(_cell) for name in texts})
    written: str = safe.rename(columns=_cell).to_csv(index=False, lineterminator="\n")
    return written


def _cell(value: object) -> object:
    if isinstance(value, float) and math.isnan(value):
        return None
    return quoted(value) if isinstance(value, str) else value
