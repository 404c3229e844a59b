"""The tables of CLAM and SAM-MIL beside their features: lists of slides, labels and splits."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..bag.names import file_name
from ..errors import DataError
from ..files import atomic_write
from ..train.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

PROCESS_LIST = "process_list_autogen.csv"
_PARTS = ("train", "val", "test")
#: What CLAM writes into the column ``status`` of a slide that has patches.
_DONE = frozenset({"processed", "already_exist"})


def read_process_list(path: Path) -> dict[str, str]:
    """Return slide_id -> file name of the slides that a process list calls processed.

    Raises
    ------
    DataError
        If the file is no such list, or no slide in it is processed.
    """
    table = read_table(path, needs=("slide_id",))
    rows = table[table["status"].isin(_DONE)] if "status" in table else table
    if rows.empty:
        raise DataError("no slide in this list is processed", where=path, hint="Let CLAM finish its patches first")
    return {_stem(file_name(name, where=path)): name for name in rows["slide_id"]}


def _stem(name: str) -> str:
    return Path(name).stem if Path(name).suffix.lower() in _ENDINGS else name


_ENDINGS = frozenset({".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".svslide", ".dcm"})


def write_process_list(path: Path, names: Sequence[str]) -> None:
    """Write the list of slides (file names) as CLAM leaves it when all are processed."""
    _write(path, ("slide_id", "process", "status"), [(file_name(name), 0, "processed") for name in names])


def read_labels(path: Path) -> pd.DataFrame:
    """Read CLAM's label table (case_id, slide_id, label), ours, or SAM-MIL's two columns without a heading.

    Returns
    -------
    ``slide_id``, ``label`` and, where the table has it, ``patient_id``: what ``train --labels`` reads.

    Raises
    ------
    DataError
        If the file is none of these, or a name in it is no file name.
    """
    import pandas as pd

    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        first = next(csv.reader(file), [])
    if len(first) == 2 and "slide_id" not in [cell.strip() for cell in first]:
        table = pd.read_csv(path, header=None, names=["slide_id", "label"], dtype=str, encoding="utf-8-sig")
        table = table.apply(lambda column: column.str.strip())
    else:
        table = read_table(path, needs=("slide_id", "label")).rename(columns={"case_id": "patient_id"})
    for name in table["slide_id"]:
        file_name(name, where=path)
    return table[[name for name in ("slide_id", "label", "patient_id") if name in table]]


def write_labels(path: Path, table: pd.DataFrame, *, to: str) -> None:
    """Write labels: ``clam`` has case_id, slide_id, label; ``sam-mil`` no heading; ``train`` is ours."""
    cases = table["patient_id"] if "patient_id" in table else table["slide_id"]
    if to == "train":
        _write(path, list(table.columns), table.to_numpy().tolist())
    elif to == "sam-mil":
        _write(path, (), list(zip(table["slide_id"], table["label"], strict=True)))
    else:
        _write(
            path, ("case_id", "slide_id", "label"), list(zip(cases, table["slide_id"], table["label"], strict=True))
        )


def write_splits(folder: Path, splits: Sequence[Mapping[str, Sequence[str]]]) -> list[Path]:
    """Write ``splits_K.csv`` and ``splits_K_bool.csv`` as CLAM does: a row number, then train, val, test.

    Each split is a mapping of train, val and test to slide names.
    """
    written = []
    for number, split in enumerate(splits):
        longest = max(len(split[part]) for part in _PARTS)
        columns = [[*split[part], *[""] * (longest - len(split[part]))] for part in _PARTS]
        rows = [(row, *cells) for row, cells in enumerate(zip(*columns, strict=True))]
        flags = [(name, *(part == other for other in _PARTS)) for part in _PARTS for name in split[part]]
        for ending, lines in (("", rows), ("_bool", flags)):
            written.append(folder / f"splits_{number}{ending}.csv")
            _write(written[-1], ("", *_PARTS), lines)
    return written


def _write(path: Path, heading: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if heading:
        writer.writerow(heading)
    writer.writerows(rows)
    atomic_write(path, text.getvalue())
