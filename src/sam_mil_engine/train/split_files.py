"""Splits as files: the plain ``splits.csv``, and CLAM's ``splits_K.csv`` or a folder of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from ..files import atomic_write
from .folds import PARTS, Split
from .tables import listing, read_table

if TYPE_CHECKING:
    import pandas as pd

_CLAM_FILE = re.compile(r"splits_(\d+)\.csv")


def write_splits(path: Path, splits: Sequence[Split]) -> None:
    """Write ``splits.csv``: repeat, fold, split, slide_id."""
    lines = ["repeat,fold,split,slide_id"]
    lines += [
        f"{split.repeat},{split.fold},{part},{_quoted(slide_id)}"
        for split in splits
        for part in PARTS
        for slide_id in getattr(split, part)
    ]
    atomic_write(path, "\n".join(lines) + "\n")


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
        return [_clam(found[fold], read_table(found[fold], needs=PARTS), fold) for fold in sorted(found)]
    table = read_table(path, needs=())
    if set(PARTS) <= set(table.columns):
        match = _CLAM_FILE.fullmatch(path.name)
        return [_clam(path, table, int(match[1]) if match else 0)]
    return _plain(path)


def _clam(path: Path, table: pd.DataFrame, fold: int) -> Split:
    """One column a part, each as long as it is; the first column only counts the rows."""
    train, val, test = (tuple(cell for cell in table[part] if cell) for part in PARTS)
    if set(train) <= {"True", "False"}:
        raise DataError("this is CLAM's table of true and false", where=path, hint="Give splits_K.csv beside it")
    return Split(train, val, test, fold=fold)


def _plain(path: Path) -> list[Split]:
    table = read_table(path, needs=("slide_id", "split"))
    unknown = sorted(set(table["split"]) - set(PARTS))
    if unknown:
        raise DataError(f"unknown split {listing(unknown)}", where=path, hint="Use train, val or test")
    names = ("repeat", "fold")
    try:
        numbers = [table[name].astype(int) if name in table else 0 * table.index.to_series() for name in names]
    except ValueError:
        raise DataError("repeat and fold must be whole numbers", where=path) from None
    splits = []
    for repeat, fold in sorted(set(zip(*numbers, strict=True))):
        rows = table[(numbers[0] == repeat) & (numbers[1] == fold)]
        train, val, test = (tuple(rows.loc[rows["split"] == part, "slide_id"]) for part in PARTS)
        splits.append(Split(train, val, test, repeat=int(repeat), fold=int(fold)))
    return splits


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\n') else text
