"""Tables of labels: ours, CLAM's, SAM-MIL's without a heading. Nothing in them is dropped or guessed silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from ..progress import ProgressCallback, notice, silent
from ..slide.info import slide_id_of
from ..tables.cells import is_formula, is_missing, is_number, listing, near_duplicates
from ..tables.columns import (
    FOUND_BY_NAME,
    LABEL,
    OF_SLIDES,
    PATH,
    PATIENT,
    SLIDE,
    SPLIT,
    Columns,
    Role,
    find_column,
    required,
    several,
)
from ..tables.reading import TextTable, read_table
from .folds import PARTS

if TYPE_CHECKING:
    import pandas as pd


def read_labels(
    path: str | Path,
    *,
    columns: Columns = FOUND_BY_NAME,
    classes: Sequence[str] | None = None,
    keep_all: bool = False,
    progress: ProgressCallback = silent,
) -> pd.DataFrame:
    """Read a table of labels.

    Parameters
    ----------
    path
        A table with the columns slide_id, label, and where there are such, patient_id and split; also under the
        names that other tools give them (:mod:`~sam_mil_engine.tables.columns`). Or two columns, slide and label,
        without a heading. Or the slide table of ``process``: a slide without a slide_id is called as its file.
    columns
        Which columns are meant, where their names do not say it.
    classes
        Names that are classes on purpose, though they look like a missing value or like one another.
    keep_all
        Keep the columns without a meaning too, behind the others.
    progress
        Is told which columns are used under another name, and which are not used.

    Returns
    -------
    ``slide_id``, ``label``, and ``patient_id`` and ``split`` (train, val or test) where the table has them; one row
    per slide.

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing or could be several, a value is missing or would be a
        formula in a spreadsheet, a slide is named twice, or names of classes or of patients differ only in case,
        white space or the way a number is written.
    """
    labels = _Labels.read(Path(path), columns)
    if not labels.text.rows:
        raise DataError("the table has no row", where=path)
    table = labels.frame(classes or ())
    _check_once(table, path)
    _check_spelling(table["label"], "classes", path, allowed=classes or ())
    if "patient_id" in table:
        _check_spelling(table["patient_id"], "patients", path)
    for message in labels.notices(told_unused=not keep_all):
        progress(notice("labels", message))
    if keep_all:
        for name, number in labels.unused():
            table[_free_name(name, table.columns)] = labels.text.column(number)
    return table


@dataclass(frozen=True, slots=True)
class _Labels:
    """A table of labels, and the number of the column of each role."""

    text: TextTable
    used: dict[Role, int]

    @classmethod
    def read(cls, path: Path, columns: Columns) -> _Labels:
        text = read_table(path)
        if not columns.named and _has_no_heading(text):
            text = read_table(path, heading=(SLIDE.name, LABEL.name))
        text = _with_slide_ids(text, columns.slide)
        heading = text.heading
        used = {
            SLIDE: required(heading, SLIDE, asked=columns.slide, where=path),
            LABEL: required(heading, LABEL, asked=columns.label, where=path),
        }
        patient = _patient_column(text, columns.patient, taken=list(used.values()))
        split = find_column(heading, SPLIT, taken=list(used.values()), where=path)
        used |= {} if patient is None else {PATIENT: patient}
        used |= {} if split is None else {SPLIT: split}
        return cls(text, used)

    def unused(self) -> list[tuple[str, int]]:
        """Return name and number of the columns without a meaning; a column without a name only counts rows."""
        used = set(self.used.values())
        return [(name, number) for number, name in enumerate(self.text.heading) if name and number not in used]

    def notices(self, *, told_unused: bool) -> list[str]:
        named = {role: self.text.heading[number] for role, number in self.used.items()}
        others = [f"{role.name} is the column {name}" for role, name in named.items() if name != role.name]
        unused = [name for name, _ in self.unused() if not self._of_slides(name)] if told_unused else []
        return [*others, *([f"columns that are not used: {listing(unused)}"] if unused else [])]

    def _of_slides(self, name: str) -> bool:
        """Whether a column is for ``process``: this is a slide table then."""
        return PATH.name in self.text.heading and any(role.is_meant_by(name) for role in OF_SLIDES)

    def frame(self, classes: Sequence[str]) -> pd.DataFrame:
        """Return the columns that have a meaning, every cell of them checked."""
        import pandas as pd

        slides = self.text.column(self.used[SLIDE])
        found: dict[str, list[str]] = {}
        for role, number in self.used.items():
            cells = self.text.column(number)
            self._check_missing(role, cells, slides, classes)
            for line, cell in zip(self.text.lines, cells, strict=True):
                if is_formula(cell):
                    raise DataError(
                        f"the {role.name} in line {line} looks like a spreadsheet formula: {cell!r}",
                        where=self.text.path,
                        hint="Names must not begin with =, +, - or @",
                    )
            found[role.name] = [cell.lower() for cell in cells] if role is SPLIT else cells
        unknown = sorted(set(found.get(SPLIT.name, ())) - set(PARTS))
        if unknown:
            raise DataError(
                f"unknown split {listing(unknown)}", where=self.text.path, hint="Use train, val or test"
            )
        return pd.DataFrame(found, dtype=str)

    def _check_missing(
        self, role: Role, cells: Sequence[str], slides: Sequence[str], classes: Sequence[str]
    ) -> None:
        missing = [
            (f"{'' if role is SLIDE else f'{slide}, '}line {line}", cell)
            for slide, line, cell in zip(slides, self.text.lines, cells, strict=True)
            if is_missing(cell) and not (role is LABEL and cell in classes)
        ]
        if not missing:
            return
        words = sorted({cell for _, cell in missing if cell})
        written = listing(words or ("empty",))
        hints = {
            LABEL: f"; if {words[0]} is a class, name all classes in the setting `classes` of the training"
            if words
            else "",
            PATIENT: f"; with {PATIENT.option} {self.text.heading[self.used[SLIDE]]} every slide is a patient of"
            " its own",
        }
        raise DataError(
            f"the {role.name} is missing ({written}) in {len(missing)} of {len(cells)} rows:"
            f" {'; '.join(place for place, _ in missing[:10])}"
            + (f" and {len(missing) - 10} more" if len(missing) > 10 else ""),
            where=self.text.path,
            hint=f"Fill it in, or remove these rows{hints.get(role, '')}",
            window_hint="Fill it in, or remove these rows",
        )


def _with_slide_ids(text: TextTable, asked: str | None) -> TextTable:
    """Give the slides of a slide table names: where it names none, a slide is called as its file."""
    path = find_column(text.heading, PATH, where=text.path) if asked is None else None
    if path is None:
        return text
    slide = find_column(text.heading, SLIDE, taken=[path], where=text.path)
    if slide is None and SLIDE.is_meant_by(text.heading[path]):  # such as file: names of slides, or files
        rows = ((*row[:path], Path(row[path]).name, *row[path + 1 :]) for row in text.rows)
        return replace(text, rows=tuple(rows))
    if slide is None:
        slide, text = (
            len(text.heading),
            replace(text, heading=(*text.heading, SLIDE.name), rows=tuple((*row, "") for row in text.rows)),
        )
    names = [
        slide_id_of(Path(row[path])) if is_missing(row[slide]) and not is_missing(row[path]) else row[slide]
        for row in text.rows
    ]
    rows = ((*row[:slide], name, *row[slide + 1 :]) for row, name in zip(text.rows, names, strict=True))
    return replace(text, rows=tuple(rows))


def _has_no_heading(text: TextTable) -> bool:
    """Whether the first line is a slide and its label: it names no column, and its label is one of the others."""
    first = text.heading
    roles = (SLIDE, LABEL, PATIENT, SPLIT)
    if len(first) != 2 or any(role.is_meant_by(cell) for role in roles for cell in first):
        return False
    return is_number(first[1]) or is_missing(first[1]) or first[1] in text.column(1)


def _patient_column(text: TextTable, asked: str | None, *, taken: Sequence[int]) -> int | None:
    """Return the column of the patients; ``patient_id`` only where no other column joins two of its patients."""
    found = find_column(text.heading, PATIENT, asked=asked, taken=taken, where=text.path)
    if asked is not None or found is None:
        return found
    patients = text.column(found)
    for number, name in enumerate(text.heading):
        if number in taken or number == found or not PATIENT.is_meant_by(name):
            continue
        pairs = {pair for pair in zip(text.column(number), patients, strict=True) if not is_missing(pair[0])}
        if len({other for other, _ in pairs}) < len(pairs):
            raise several(text.heading, [found, number], PATIENT, text.path)
    return found


def _free_name(name: str, taken: Iterable[str]) -> str:
    """Return a name for a column whose own name may be taken: ``label``, ``other_label``, ``other_other_label``."""
    while name in taken:
        name = f"other_{name}"
    return name


def _check_once(table: pd.DataFrame, path: str | Path) -> None:
    twice = [name for name, count in Counter(table["slide_id"]).items() if count > 1]
    if twice:
        raise DataError(
            f"{len(twice)} slide_ids are in more than one row: {listing(twice)}",
            where=path,
            hint="Keep one row per slide",
        )


def _check_spelling(names: Iterable[str], what: str, path: str | Path, *, allowed: Sequence[str] = ()) -> None:
    for group in near_duplicates(names):
        if set(group) <= set(allowed):
            continue
        counts = ", ".join(f"{name!r} {count}" for name, count in group.items())
        hint = "; if they are different classes, name all classes in the setting `classes` of the training"
        raise DataError(
            f"{what} differ only in the way they are written (with their slides): {counts}",
            where=path,
            hint=f"Write them in one way{hint if what == 'classes' else ''}",
        )
