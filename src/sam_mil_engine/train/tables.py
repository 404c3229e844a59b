"""Tables that people write: read as text, every cell checked, nothing guessed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError

if TYPE_CHECKING:
    import pandas as pd

#: Columns with a meaning: their cells must not be empty, nor a formula when a spreadsheet opens the results.
COLUMNS = ("slide_id", "label", "patient_id", "split")


def read_table(path: str | Path, *, needs: Sequence[str]) -> pd.DataFrame:
    """Read a CSV file as text without an empty cell; raises :class:`DataError` saying which cell is wrong."""
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except FileNotFoundError:
        raise DataError("there is no such file", where=path) from None
    except (OSError, ValueError) as error:  # pandas' parser errors and bad encodings are ValueErrors
        reason = str(error).splitlines()[0]
        raise DataError(f"not a readable CSV table ({reason})", where=path, hint="Save it as CSV, UTF-8") from error
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError("not a readable CSV table (rows have more cells than the first line)", where=path)
    table.columns = [str(name).strip() for name in table.columns]
    absent = [name for name in needs if name not in table]
    if absent:
        raise DataError(
            f"the column {listing(absent)} is missing, found {listing(table.columns)}",
            where=path,
            hint=f"The first line must name the columns {', '.join(needs)}",
        )
    for name in table:
        table[name] = table[name].str.strip()
    if table.empty:
        raise DataError("the table has no row", where=path)
    for name in [name for name in COLUMNS if name in table]:
        for row, cell in enumerate(table[name], start=2):
            if not cell:
                raise DataError(f"the {name} in line {row} is empty", where=path, hint="Fill it or delete the row")
            if cell[0] in "=@" or (cell[0] in "+-" and not cell[1:].replace(".", "", 1).isdigit()):
                raise DataError(
                    f"the {name} in line {row} looks like a spreadsheet formula: {cell!r}",
                    where=path,
                    hint="Names must not begin with =, +, - or @",
                )
    return table


def listing(names: Iterable[object], most: int = 10) -> str:
    """Join names for a message; beyond ``most`` only their number is told."""
    texts = [str(name) for name in names]
    shown = ", ".join(texts[:most])
    return shown if len(texts) <= most else f"{shown} and {len(texts) - most} more"
