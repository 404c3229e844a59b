"""The tables of CLAM and SAM-MIL next to their features: lists of slides, labels and splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..bag.names import KnownNames, file_name, without_ending
from ..errors import DataError
from ..files import atomic_write
from ..progress import ProgressCallback, notice, silent
from ..tables.cells import listing
from ..tables.columns import FOUND_BY_NAME, SLIDE, Columns, Role, find_column, required
from ..tables.reading import read_table, read_text
from ..tables.writing import csv_text
from ..training import labels as label_tables

if TYPE_CHECKING:
    import pandas as pd

PROCESS_LIST = "process_list_autogen.csv"
_PARTS = ("train", "val", "test")
#: What CLAM writes into the column ``status`` of a slide that has patches.
_DONE = frozenset({"processed", "already_exist"})


def read_process_list(path: Path, known: Sequence[str]) -> tuple[set[str], list[str]]:
    """Read which slides a process list calls processed.

    Parameters
    ----------
    path
        The list; it names slides by their files.
    known
        The slides that have features.

    Returns
    -------
    Those of ``known`` that the list calls processed, and the slides in it of which there are no features.

    Raises
    ------
    DataError
        If the file is not such a list, or no slide in it is processed.
    """
    table = read_table(path)
    names = table.column(required(table.heading, SLIDE, where=path))
    status = find_column(table.heading, Role("status"), where=path)
    done = [True] * len(names) if status is None else [cell in _DONE for cell in table.column(status)]
    processed = [file_name(name, where=path) for name, is_done in zip(names, done, strict=True) if is_done]
    if not processed:
        raise DataError("no slide in this list is processed", where=path, hint="Let CLAM finish its patching first")
    slides = KnownNames(known)
    found = {name: slides.find(name) for name in processed}
    missing = [without_ending(name) for name, slide in found.items() if slide is None]
    return {slide for slide in found.values() if slide is not None}, missing


def write_process_list(path: Path, names: Sequence[str]) -> None:
    """Write the list of slides (file names) as CLAM leaves it when all are processed."""
    rows = [(file_name(name), 0, "processed") for name in names]
    atomic_write(path, csv_text(("slide_id", "process", "status"), rows))


def read_labels(
    path: Path, *, columns: Columns = FOUND_BY_NAME, progress: ProgressCallback = silent
) -> pd.DataFrame:
    """Read a table of labels with all its columns; names that cannot be file names are refused.

    Raises
    ------
    DataError
        As :func:`sam_mil_engine.training.labels.read_labels`, or if a name in it is not a valid file name.
    """
    table = label_tables.read_labels(path, columns=columns, keep_all=True, progress=progress)
    for name in table["slide_id"]:
        file_name(name, where=path)
    return table


def import_labels(
    source: Path, target: Path, *, columns: Columns = FOUND_BY_NAME, progress: ProgressCallback = silent
) -> list[str]:
    """Write a table of labels with all its columns as our ``labels.csv``; a table that is there is never replaced.

    Returns
    -------
    The slides that are labelled.

    Raises
    ------
    DataError
        If the table cannot be read, or ``target`` holds another one.
    """
    table = read_labels(source, columns=columns, progress=progress)
    slides = [str(name) for name in table["slide_id"]]
    if target.exists() and target.samefile(source):
        return slides
    text = csv_text(list(table.columns), table.to_numpy().tolist())
    if not target.exists():
        atomic_write(target, text)
    elif read_text(target) != text:
        raise DataError(
            "there is already a different table of labels, and it is not replaced",
            where=target,
            hint="Go on without --labels to use the one that is there, or rename it",
            window_hint="Rename the one that is there",
        )
    return slides


def write_labels(path: Path, table: pd.DataFrame, *, to: str, progress: ProgressCallback = silent) -> None:
    """Write labels as a tool reads them: ``sam-mil`` has two columns and no heading, CLAM ``case_id`` first."""
    if to == "sam-mil":
        lost = [name for name in table.columns if name not in ("slide_id", "label")]
        if lost:
            progress(notice("labels", f"SAM-MIL's table has no columns for {listing(lost)}"))
        atomic_write(path, csv_text((), table[["slide_id", "label"]].to_numpy().tolist()))
        return
    cases = table["patient_id"] if "patient_id" in table else table["slide_id"]
    first = table.assign(case_id=cases)
    others = [name for name in table.columns if name not in ("slide_id", "label", "patient_id", "case_id")]
    chosen = first[["case_id", "slide_id", "label", *others]]
    atomic_write(path, csv_text(list(chosen.columns), chosen.to_numpy().tolist()))


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
            atomic_write(written[-1], csv_text(("", *_PARTS), lines))
    return written
