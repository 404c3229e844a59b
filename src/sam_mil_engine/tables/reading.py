"""CSV files as text: encoding, separator, heading and rows. Every table of names is read here."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from .cells import listing, nfc, unquoted

if TYPE_CHECKING:
    import pandas as pd

#: Separator -> its name. The one that occurs most often in the first line is taken.
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_HINT = "Save it as CSV, UTF-8"


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table whose cells are text.

    Attributes
    ----------
    path
        The file.
    heading
        Names of the columns, without white space at their ends.
    rows
        Cells, as many per row as the heading has.
    lines
        Line of the file in which each row ends, for messages.
    separator
        What stands between two cells.
    """

    path: Path
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    separator: str

    def column(self, number: int) -> list[str]:
        """Return the cells of a column without white space at their ends."""
        return [row[number].strip() for row in self.rows]

    def records(self) -> list[dict[str, str]]:
        """Return each row as column -> cell, the cells as they are in the file."""
        return [dict(zip(self.heading, row, strict=True)) for row in self.rows]


def read_table(path: str | Path, *, heading: Sequence[str] | None = None, as_written: bool = False) -> TextTable:
    """Read a table of text.

    UTF-8 and UTF-16 are read, with the mark that spreadsheets put before them; cells are separated by commas,
    semicolons or tabs. Rows without a filled cell are passed over. Names are in one Unicode form
    (:func:`~sam_mil_engine.tables.cells.nfc`).

    Parameters
    ----------
    path
        The file.
    heading
        Names of the columns of a table that has no heading; None: its first line.
    as_written
        Keep the Unicode form and the spaces of cells, as paths need it.

    Raises
    ------
    DataError
        If there is no such file, it is not text of one of these encodings, or a row has too many cells.
    """
    path = Path(path)
    text, separator = _body(read_text(path))
    lines = io.StringIO(text if as_written else nfc(text), newline="")
    try:
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=not as_written)
        found = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DataError(f"not a readable CSV table ({error})", where=path, hint=_HINT) from error
    if heading is None:
        if not found:
            raise DataError("not a readable CSV table (it is empty)", where=path)
        heading, found = [cell.strip() for cell in found[0][1]], found[1:]
    return TextTable(
        path=path,
        heading=tuple(heading),
        rows=tuple(_fitted(cells, len(heading), path, line, separator) for line, cells in found),
        lines=tuple(line for line, _ in found),
        separator=separator,
    )


def read_records(path: Path, *, needs: Sequence[str]) -> dict[int, dict[str, str]]:
    """Read a list that this package wrote: line number -> column -> cell, as it was before it was written.

    Raises
    ------
    DataError
        If it is not a readable table, or lacks one of the columns ``needs``.
    """
    if not path.stat().st_size:
        return {}
    table = read_table(path, as_written=True)
    absent = [name for name in needs if name not in table.heading]
    if absent:
        raise DataError(
            f"{path.name} is damaged (no column {listing(absent)}, found {listing(table.heading)})",
            where=path,
            hint="Correct its first line",
        )
    rows = [{name: unquoted(cell) for name, cell in row.items() if name} for row in table.records()]
    return dict(zip(table.lines, rows, strict=True))


def read_text(path: Path) -> str:
    """Read a text file of UTF-8 or UTF-16; raises :class:`DataError` where it is neither."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError("there is no such file", where=path) from None
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", where=path) from error
    if data.startswith(_SPREADSHEETS):
        raise DataError("not a readable CSV table (a workbook of a spreadsheet)", where=path, hint=_HINT)
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"not a readable CSV table (line {line} is not UTF-8: byte 0x{data[error.start]:02x})",
            where=path,
            hint=f"{_HINT}: in Excel, choose 'CSV UTF-8'",
        ) from error
    if "\0" in text:
        raise DataError("not a readable CSV table (it is not text)", where=path, hint=_HINT)
    return text


def read_frame(path: str | Path, *, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table of numbers that this package wrote, also where a spreadsheet has saved it since.

    Parameters
    ----------
    path
        The file.
    text
        Columns that are text; an empty cell in them is an empty text.

    Raises
    ------
    DataError
        If it is not a readable table.
    """
    import pandas as pd

    path = Path(path)
    body, separator = _body(read_text(path))

    def read(**options: Any) -> pd.DataFrame:
        table: pd.DataFrame = pd.read_csv(io.StringIO(body), sep=separator, keep_default_na=False, **options)
        return table

    try:
        names = [name for name in read(nrows=0).columns if name not in text]
        no_number = ("", "nan", "NaN")
        as_numbers: dict[str, Any] = {
            "na_values": dict.fromkeys(names, no_number),
            "dtype": dict.fromkeys(text, str),
        }
        table = read(**as_numbers)
        if separator == ";" and not all(pd.api.types.is_numeric_dtype(table[name]) for name in names):
            table = read(**as_numbers, decimal=",")
    except ValueError as error:  # pandas' parser errors are ValueErrors
        reason = str(error).splitlines()[0]
        raise DataError(f"not a readable CSV table ({reason})", where=path, hint=_HINT) from error
    return table.assign(**{name: table[name].map(unquoted) for name in table.columns.intersection(list(text))})


def _body(text: str) -> tuple[str, str]:
    """Return the text without Excel's line ``sep=;``, and the separator of its cells."""
    first = next((line for line in io.StringIO(text) if line.strip()), "")
    declared = first.strip('\r\n"')
    if declared[:4].lower() == "sep=" and declared[4:] in SEPARATORS:
        return text.replace(first, "\n", 1), declared[4:]
    outside = "".join(first.split('"')[::2])  # what is not within quotes
    return text, max(SEPARATORS, key=outside.count)


def _fitted(cells: Sequence[str], width: int, path: Path, line: int, separator: str) -> tuple[str, ...]:
    """Return as many cells as the heading has; only empty ones are added or taken away."""
    if any(cell.strip() for cell in cells[width:]):
        raise DataError(
            f"not a readable CSV table (line {line} has {len(cells)} cells, the heading {width}, read with a"
            f" {SEPARATORS[separator]} between them)",
            where=path,
            hint=f"Put cells that hold a {SEPARATORS[separator]} in quotes",
        )
    return (*cells[:width], *[""] * (width - len(cells)))


def whole_number(text: str) -> int:
    """Return a whole number, also where a program has written it as 3.0; raises ValueError."""
    number = float(text.replace(",", "."))
    if not number.is_integer():
        raise ValueError(f"{text!r} is not a whole number")
    return int(number)
