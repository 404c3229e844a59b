"""The slide table: one row for each slide of a cohort, with what is stated about it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ..errors import DataError, SettingsError
from ..progress import ProgressCallback, notice, silent
from ..settings import MPP_RANGE, tissue_preset
from ..tables.cells import is_file_name, is_missing, listing, nfc
from ..tables.columns import LABEL, MPP, PATH, PATIENT, PRESET, SLIDE, SPLIT, TISSUE, Role, find_column
from ..tables.reading import TextTable, read_table
from .entry import SlideEntry
from .info import slide_id_of

T = TypeVar("T")
#: Problems of a table that are named in one message.
_NAMED = 10


def read_slides_table(path: str | Path, *, progress: ProgressCallback = silent) -> list[SlideEntry]:
    """Read a slide table.

    Parameters
    ----------
    path
        A CSV file with the column ``path`` and, where they are needed, ``slide_id``, ``mpp`` (µm per level-0
        pixel), ``preset`` (of the tissue) and ``tissue`` (a file of the tissue). Paths count from the folder of the
        table. Empty cells, ``label``, ``patient_id`` and other columns are passed over.
    progress
        Is told which columns are not used, by this command or by ``train``.

    Returns
    -------
    The slides, in the order of the table.

    Raises
    ------
    DataError
        Naming line, column and what to do, for each wrong cell: a missing file, a slide that is there twice, an
        impossible resolution, an unknown preset, a tissue file that is a folder.
    """
    table = read_table(path, as_written=True)
    column = find_column(table.heading, PATH, where=table.path)
    if column is None:
        raise DataError(
            f"the column path is missing, found {', '.join(filter(None, table.heading)) or 'none'}",
            where=table.path,
            hint="The first line must name the column path; its cells are the slide files",
        )
    if not table.rows:
        raise DataError("the table names no slide", where=table.path, hint="Add one line for each slide")
    reader = _Reader(table, {PATH: column})
    for role in (SLIDE, MPP, PRESET, TISSUE):
        found = find_column(table.heading, role, taken=list(reader.columns.values()), where=table.path)
        reader.columns |= {} if found is None else {role: found}
    entries = [reader.entry(number) for number in range(len(table.rows))]
    if reader.problems:
        more = len(reader.problems) - _NAMED
        raise DataError(
            "; ".join(reader.problems[:_NAMED]) + (f"; and {more} more" if more > 0 else ""), where=table.path
        )
    unused = [table.heading[number] for number in reader.unused()]
    if unused:
        progress(notice("slides", f"columns that are not used: {listing(unused)}"))
    return entries


@dataclass(slots=True)
class _Reader:
    """Reads the rows of a table and collects what is wrong with them."""

    table: TextTable
    columns: dict[Role, int]
    problems: list[str] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    files: dict[tuple[Path, Path | None], int] = field(default_factory=dict)

    def entry(self, number: int) -> SlideEntry:
        path = self._file(number, PATH, otherwise="remove the line")
        slide_id = self._cell(number, SLIDE, nfc) or slide_id_of(path or Path())
        tissue = self._file(number, TISSUE, otherwise="leave the cell empty")
        self._check_name(number, slide_id)
        if path is None and is_missing(self.table.rows[number][self.columns[PATH]]):
            self._problem(number, PATH, "the cell is empty; write the path of the slide")
        if tissue is not None and tissue.is_dir():
            self._problem(number, TISSUE, f"{tissue} is a folder; name a file, GeoJSON, PNG or TIFF")
        if path is not None:
            self._check_once(number, path, tissue)
        return SlideEntry(
            path=path or Path(),
            slide_id=slide_id,
            mpp=self._cell(number, MPP, _resolution),
            preset=self._cell(number, PRESET, _preset),
            tissue=tissue,
        )

    def unused(self) -> list[int]:
        """Return the numbers of the columns that neither this table nor a table of labels gives a meaning."""
        roles = (SLIDE, LABEL, PATIENT, SPLIT)
        return [
            number
            for number, name in enumerate(self.table.heading)
            if name and number not in self.columns.values() and not any(role.is_meant_by(name) for role in roles)
        ]

    def _cell(self, number: int, role: Role, convert: Callable[[str], T]) -> T | None:
        """Return a cell's value; None where it is empty, there is no such column, or it is wrong."""
        column = self.columns.get(role)
        text = "" if column is None else self.table.rows[number][column].strip()
        if is_missing(text):
            return None
        try:
            return convert(text)
        except ValueError as error:
            self._problem(number, role, str(error))
            return None

    def _file(self, number: int, role: Role, *, otherwise: str) -> Path | None:
        def existing(text: str) -> Path:
            found = self.table.path.parent / os.path.expanduser(text)  # what makes no path is left as it is
            if not os.path.exists(found):
                raise ValueError(f"there is no file {found}; correct the path, or {otherwise}")
            return found

        return self._cell(number, role, existing)

    def _check_name(self, number: int, slide_id: str) -> None:
        if not slide_id:
            return  # the path is wrong, which is said already
        role = SLIDE if SLIDE in self.columns else PATH
        if not is_file_name(slide_id):
            self._problem(
                number, role, f"{slide_id!r} cannot name files; use letters, digits, spaces, - and _ instead"
            )
        first = self.lines.setdefault(slide_id.casefold(), self.table.lines[number])
        if first != self.table.lines[number]:
            self._problem(
                number,
                role,
                f"{slide_id!r} is in line {first} too; give each slide a slide_id of its own",
            )

    def _check_once(self, number: int, path: Path, tissue: Path | None) -> None:
        """Refuse a file under two names: one slide would count twice. Pieces that differ in tissue are two."""
        first = self.files.setdefault((path.resolve(), tissue), self.table.lines[number])
        if first != self.table.lines[number]:
            self._problem(
                number,
                PATH,
                f"the file is in line {first} too; remove one line, or give each its tissue",
            )

    def _problem(self, number: int, role: Role, what: str) -> None:
        column = self.table.heading[self.columns[role]]
        self.problems.append(f"line {self.table.lines[number]}, column {column}: {what}")


def _resolution(text: str) -> float:
    low, high = MPP_RANGE
    try:
        mpp = float(text.replace(",", "."))
    except ValueError:
        mpp = math.nan
    if not low <= mpp <= high:
        raise ValueError(
            f"{text!r} is not a resolution; write µm per level-0 pixel ({low:g} to {high:g}), or leave it empty"
        )
    return mpp


def _preset(text: str) -> str:
    try:
        tissue_preset(text)
    except SettingsError as error:
        raise ValueError(f"{error.what}; {(error.hint or '').lower()}") from None
    return text
