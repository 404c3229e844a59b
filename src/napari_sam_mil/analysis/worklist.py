"""What a person noted of the slides of a project: status, note, and where each was left. No Qt, no napari."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sam_mil_engine import layout
from sam_mil_engine.errors import DataError, ProjectError
from sam_mil_engine.files import atomic_write
from sam_mil_engine.tables.cells import is_number, listing, nfc
from sam_mil_engine.tables.reading import read_records
from sam_mil_engine.tables.writing import csv_text

#: The states of a slide, as the file and the window call them.
NOT_SEEN, SEEN, AGREED, TO_DISCUSS = STATUSES = ("not seen", "seen", "agreed", "to discuss")
#: Columns of the file. A person may add others, which are kept.
_COLUMNS = ("slide_id", "status", "note", "x_px0", "y_px0", "px0_per_pixel")
_VIEW = _COLUMNS[3:]


@dataclass(frozen=True, slots=True)
class View:
    """Where a slide was left.

    Attributes
    ----------
    x_px0, y_px0
        Middle of the canvas in level-0 pixels.
    px0_per_pixel
        Level-0 pixels along a pixel of the canvas.
    """

    x_px0: float
    y_px0: float
    px0_per_pixel: float


@dataclass(frozen=True, slots=True)
class Item:
    """What was noted of one slide."""

    status: str = NOT_SEEN
    note: str = ""
    view: View | None = None


class Worklist:
    """The file ``worklist.csv`` of a project, or of a run or predictions whose project was not found.

    Each change is written at once. The file is read again before, so that two windows do not undo each other.

    Parameters
    ----------
    folder
        The folder in which the file lies. It is made with the first change.

    Raises
    ------
    DataError
        If the file is damaged; it names the line.
    """

    def __init__(self, folder: Path):
        self.path = folder / layout.WORKLIST
        self._items = _items(self._lines(), self.path)

    def of(self, slide_id: str) -> Item:
        """Return what was noted of a slide; the defaults if nothing was."""
        return self._items.get(nfc(slide_id), Item())

    def change(self, slide_id: str, **changes: Any) -> Item:
        """Set fields of :class:`Item` for a slide, write the file if this changes something, and return the item.

        Raises
        ------
        DataError
            If the file was damaged in the meantime.
        ProjectError
            If it cannot be written, or another window is writing it.
        """
        from sam_mil_engine.process.locks import held

        slide_id = nfc(slide_id)
        if replace(self.of(slide_id), **changes) == self.of(slide_id):
            return self.of(slide_id)
        folder = self.path.parent
        if not folder.is_dir():
            raise ProjectError("the folder of the worklist is gone", where=folder, hint="Choose the folder again")
        lock = self.path.with_name(f".{self.path.name}.lock")
        with held(lock, wait=5, what="another window is writing the worklist"):
            lines = self._lines()
            self._items = _items(lines, self.path)
            item = self._items[slide_id] = replace(self.of(slide_id), **changes)
            rows = {nfc(cells["slide_id"]): cells for cells in lines.values()}
            rows[slide_id] = {**rows.get(slide_id, {}), **_cells(slide_id, item)}
            columns = list(dict.fromkeys([*_COLUMNS, *(name for cells in rows.values() for name in cells)]))
            table = [[rows[name].get(column, "") for column in columns] for name in sorted(rows)]
            atomic_write(self.path, csv_text(columns, table))
        return item

    def _lines(self) -> dict[int, dict[str, str]]:
        return read_records(self.path, needs=_COLUMNS[:1]) if self.path.exists() else {}


def _items(lines: dict[int, dict[str, str]], path: Path) -> dict[str, Item]:
    return {nfc(cells["slide_id"]): _item(cells, line, path) for line, cells in lines.items()}


def _item(cells: dict[str, str], line: int, path: Path) -> Item:
    status = cells.get("status", "").strip().lower() or NOT_SEEN
    # spreadsheets of many countries write a decimal comma
    numbers = [cells.get(name, "").strip().replace(",", ".") for name in _VIEW]
    hint = "Correct this cell, or clear it"
    if status not in STATUSES:
        what = f"the status {status!r} is not known (line {line}): it is one of {listing(STATUSES)}"
        raise DataError(what, where=path, hint=hint)
    if not any(numbers):
        return Item(status, cells.get("note", ""))
    if not all(map(is_number, numbers)) or float(numbers[2]) <= 0:
        raise DataError(f"the place of the view is damaged (line {line})", where=path, hint=hint)
    return Item(status, cells.get("note", ""), View(*map(float, numbers)))


def _cells(slide_id: str, item: Item) -> dict[str, str]:
    numbers = ("", "", "")
    if item.view is not None:
        view = item.view
        numbers = (f"{view.x_px0:.1f}", f"{view.y_px0:.1f}", f"{view.px0_per_pixel:.6g}")
    return {
        "slide_id": slide_id,
        "status": item.status,
        "note": item.note,
        **dict(zip(_VIEW, numbers, strict=True)),
    }
