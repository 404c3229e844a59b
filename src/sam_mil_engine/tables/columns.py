"""Which column of a table means what: names in any case, other tools' names, and what the user says."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from os import PathLike

from ..errors import DataError
from .cells import listing, nfc

_NOT_A_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Role:
    """What a column can mean.

    Attributes
    ----------
    name
        The column's name in our own tables.
    others
        Its names in tables of other tools. Case, spaces, underscores, hyphens and dots do not count.
    option
        The option with which a user names the column, or nothing.
    """

    name: str
    others: tuple[str, ...] = ()
    option: str = ""

    def is_meant_by(self, column: str) -> bool:
        """Whether a column of this name has this meaning."""
        return plain(column) in {plain(name) for name in (self.name, *self.others)}


SLIDE = Role(
    "slide_id",
    (
        "slide",
        "slide_name",
        "slide_file",
        "slide_submitter_id",
        "file",
        "filename",
        "image_id",
        "image",
        "wsi",
        "wsi_id",
    ),
    "--slide-column",
)
LABEL = Role("label", ("labels", "slide_label", "class", "class_label", "target"), "--label-column")
PATIENT = Role(
    "patient_id",
    (
        *("patient", "case_id", "case", "submitter_id", "case_submitter_id", "cases.submitter_id"),
        *(
            "bcr_patient_barcode",
            "subject",
            "subject_id",
            "participant",
            "participant_id",
            "donor",
            "donor_id",
            "pid",
        ),
    ),
    "--patient-column",
)
SPLIT = Role("split")
#: Of a slide table: the slide's file, its resolution, and its tissue preset.
PATH = Role("path", ("slide_path", "wsi_path", "wsi", "file_path", "filepath", "file", "filename"))
MPP = Role("mpp", ("source_mpp", "resolution"))
PRESET = Role("preset", ("tissue_preset",))
TISSUE = Role("tissue", ("tissue_mask", "tissue_file", "mask"))
OF_SLIDES = (PATH, MPP, PRESET, TISSUE)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a user names; None: found by their names."""

    slide: str | None = None
    label: str | None = None
    patient: str | None = None

    @property
    def named(self) -> bool:
        """Whether the user names any."""
        return any(name is not None for name in (self.slide, self.label, self.patient))


#: No column is named: each is found by its name.
FOUND_BY_NAME = Columns()


def find_column(
    heading: Sequence[str],
    role: Role,
    *,
    asked: str | None = None,
    taken: Collection[int] = (),
    where: str | PathLike[str] | None = None,
) -> int | None:
    """Return the number of the column with this meaning, or None where there is none.

    A column of the role's own name comes before those with other tools' names.

    Parameters
    ----------
    heading
        Names of the columns.
    role
        What is looked for.
    asked
        The name that the user gave; it must be there.
    taken
        Columns that already have another meaning.
    where
        The file, for messages.

    Raises
    ------
    DataError
        If several columns could be meant, or the one that the user names is not there.
    """
    if asked is not None:
        return _asked(heading, asked, where)
    free = [number for number in range(len(heading)) if number not in taken]
    own = [number for number in free if plain(heading[number]) == plain(role.name)]
    found = own or [number for number in free if role.is_meant_by(heading[number])]
    if len(found) > 1:
        raise several(heading, found, role, where)
    return found[0] if found else None


def several(
    heading: Sequence[str], found: Sequence[int], role: Role, where: str | PathLike[str] | None
) -> DataError:
    """Return the error that more than one column could be meant."""
    return DataError(
        f"the {role.name} could be in several columns: {listing(heading[number] for number in found)}",
        where=where,
        hint=f"Say which one: {role.option} NAME" if role.option else "Rename or remove the others",
        window_hint="Rename or remove the others",
    )


def required(
    heading: Sequence[str], role: Role, *, asked: str | None = None, where: str | PathLike[str] | None = None
) -> int:
    """Return the number of the column with this meaning, as :func:`find_column` does; it must be there."""
    found = find_column(heading, role, asked=asked, where=where)
    if found is None:
        option = f", or name yours: {role.option} NAME" if role.option else ""
        raise DataError(
            f"the column {role.name} is missing, found {listing(filter(None, heading))}",
            where=where,
            hint=f"The first line must name the column {role.name}{option}",
            window_hint=f"The first line must name the column {role.name}",
        )
    return found


def plain(name: str) -> str:
    """Return a column's name in small letters and without the signs between its words."""
    return _NOT_A_WORD.sub("", name.casefold())


def _asked(heading: Sequence[str], asked: str, where: str | PathLike[str] | None) -> int:
    name = nfc(asked).strip()
    found = [number for number, column in enumerate(heading) if column == name]
    found = found or [number for number, column in enumerate(heading) if plain(column) == plain(name)]
    if len(found) != 1:
        what = f"{len(found)} columns are called {asked}" if found else f"there is no column {asked}"
        raise DataError(f"{what}, found {listing(heading)}", where=where, hint="Name a column of the first line")
    return found[0]
