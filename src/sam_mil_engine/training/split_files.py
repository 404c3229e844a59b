"""Splits as files: the plain ``splits.csv``, and CLAM's ``splits_K.csv`` or a folder of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..bag.names import KnownNames
from ..errors import DataError
from ..files import atomic_write
from ..tables.cells import is_missing, listing
from ..tables.columns import SLIDE, SPLIT, Role, find_column, required
from ..tables.reading import TextTable, read_table, whole_number
from ..tables.writing import csv_text
from .folds import PARTS, Split

_CLAM_FILE = re.compile(r"splits_(\d+)\.csv")
_NUMBERS = (Role("repeat"), Role("fold"))


def write_splits(path: Path, splits: Sequence[Split]) -> None:
    """Write ``splits.csv``: repeat, fold, split, slide_id."""
    rows = [
        (split.repeat, split.fold, part, slide_id)
        for split in splits
        for part in PARTS
        for slide_id in getattr(split, part)
    ]
    atomic_write(path, csv_text(("repeat", "fold", "split", "slide_id"), rows))


def match_known_ids(splits: Iterable[Split], known: Iterable[str]) -> list[Split]:
    """Return splits whose slides are called as those at hand; a name without such a slide stays as it is.

    CLAM's tables hold numbers as ``1006.0`` where the parts are not equally long
    (:class:`~sam_mil_engine.bag.names.KnownNames`).
    """
    names = KnownNames(known)

    def renamed(part: Iterable[str]) -> tuple[str, ...]:
        return tuple(names.find(name) or name for name in part)

    return [
        replace(split, train=renamed(split.train), val=renamed(split.val), test=renamed(split.test))
        for split in splits
    ]


def read_splits(path: str | Path) -> list[Split]:
    """Read splits in any of the formats.

    Parameters
    ----------
    path
        A plain table with the columns slide_id, split (train, val or test) and, where there are several splits,
        repeat and fold; a file of CLAM with the columns train, val and test; or a folder with CLAM's
        ``splits_0.csv``, ``splits_1.csv`` and so on, which become folds 0, 1 and so on.

    Raises
    ------
    DataError
        If it is none of these.
    """
    path = Path(path)
    if path.is_dir():
        found = {int(match[1]): file for file in path.iterdir() if (match := _CLAM_FILE.fullmatch(file.name))}
        if not found:
            raise DataError("the folder holds no splits_0.csv, splits_1.csv ...", where=path)
        return [_clam(read_table(found[fold]), fold) for fold in sorted(found)]
    table = read_table(path)
    if None not in _parts(table):
        match = _CLAM_FILE.fullmatch(path.name)
        return [_clam(table, int(match[1]) if match else 0)]
    return _plain(table)


def _parts(table: TextTable) -> list[int | None]:
    return [find_column(table.heading, Role(part), where=table.path) for part in PARTS]


def _clam(table: TextTable, fold: int) -> Split:
    """Read one column per part, each as long as it is; the first column only counts the rows."""
    columns = [required(table.heading, Role(part), where=table.path) for part in PARTS]
    train, val, test = (tuple(cell for cell in table.column(n) if not is_missing(cell)) for n in columns)
    if train and {cell.lower() for cell in train} <= {"true", "false"}:
        raise DataError(
            "this is CLAM's boolean table of a split", where=table.path, hint="Give the splits_K.csv next to it"
        )
    return Split(train, val, test, fold=fold)


def _plain(table: TextTable) -> list[Split]:
    slides = table.column(required(table.heading, SLIDE, where=table.path))
    parts = [cell.lower() for cell in table.column(required(table.heading, SPLIT, where=table.path))]
    if not slides:
        raise DataError("the table has no row", where=table.path)
    empty = [line for line, slide in zip(table.lines, slides, strict=True) if is_missing(slide)]
    if empty:
        what, hint = f"the slide_id is missing in line {listing(empty)}", "Fill it in, or remove the row"
        raise DataError(what, where=table.path, hint=hint)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise DataError(
            f"unknown split {listing(part or 'empty' for part in unknown)}",
            where=table.path,
            hint="Use train, val or test",
        )
    splits: dict[tuple[int, int], dict[str, list[str]]] = {}
    for place, part, slide in zip(_places(table), parts, slides, strict=True):
        splits.setdefault(place, {name: [] for name in PARTS})[part].append(slide)
    return [
        Split(**{part: tuple(names) for part, names in splits[place].items()}, repeat=place[0], fold=place[1])
        for place in sorted(splits)
    ]


def _places(table: TextTable) -> list[tuple[int, int]]:
    """Return repeat and fold of every row, 0 where the table does not name them."""
    found = [find_column(table.heading, role, where=table.path) for role in _NUMBERS]
    try:
        repeats, folds = (
            [0] * len(table.rows) if n is None else [whole_number(cell) for cell in table.column(n)] for n in found
        )
    except ValueError:
        raise DataError("repeat and fold must be whole numbers", where=table.path) from None
    return list(zip(repeats, folds, strict=True))
