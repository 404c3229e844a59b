"""The list of a project's slides, from ``process.csv`` (formats.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..settings import STAGES
from ..tables.cells import nfc
from ..tables.reading import read_records
from .content import Cell, Column, Mark, Table
from .tables import anchor, number

_MARKS: Mapping[str, Mark] = {"done": "right", "failed": "wrong", "running": "warn", "cancelled": "warn"}


def read_process_list(path: Path) -> list[dict[str, str]]:
    """Read the rows as column -> text; nothing where there is no such file.

    Raises
    ------
    DataError
        If the file is not a readable table, or lacks the columns that every list has.
    """
    if not path.is_file():
        return []
    rows = read_records(path, needs=("slide_id", "state")).values()
    return [{**row, "slide_id": nfc(row["slide_id"])} for row in rows]


def process_table(rows: Sequence[Mapping[str, str]], shown: frozenset[str]) -> Table:
    """Return one row per slide: state, counts, seconds, what went wrong; slides in ``shown`` are linked."""
    stages = [stage for stage in STAGES if any(row.get(f"seconds_{stage}") for row in rows)]
    columns = [
        Column("Slide", numeric=False),
        Column("State", numeric=False),
        Column("Patches"),
        Column("Segments"),
    ]
    columns += [Column(stage.capitalize(), unit="seconds") for stage in stages]
    problems = any(row.get("error") for row in rows)
    columns += [Column("Error and what to do", numeric=False, long=True)] if problems else []
    return Table("Slides", tuple(columns), tuple(_line(row, stages, shown, problems) for row in rows))


def _line(row: Mapping[str, str], stages: Sequence[str], shown: frozenset[str], problems: bool) -> tuple[Cell, ...]:
    name, state = row["slide_id"], row["state"]
    problem = ". ".join(text for text in (row.get("error", ""), row.get("hint", "")) if text)
    cells = [
        Cell(name, name, link=anchor(name) if name in shown else ""),
        Cell(state, state, mark=_MARKS.get(state, "")),
        *(_number(row.get(column, ""), 0) for column in ("tiles", "segments")),
        *(_number(row.get(f"seconds_{stage}", ""), 1) for stage in stages),
    ]
    return (*cells, Cell(problem, problem or None)) if problems else tuple(cells)


def _number(text: str, digits: int) -> Cell:
    try:
        return number(float(text), digits=digits)
    except ValueError:
        return Cell("–")
