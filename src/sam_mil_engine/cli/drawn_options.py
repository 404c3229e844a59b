"""Options for tissue that a person drew, and for outlines that limit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DataError, SettingsError
from ..tables.cells import listing
from .console import err

if TYPE_CHECKING:
    from ..process.project import Project
    from ..slide.entry import SlideEntry

#: Instead of a folder: finds the tissue again, also of slides whose tissue was drawn.
FOUND = "auto"

Tissue = Annotated[
    str | None,
    typer.Option(
        "--tissue",
        help="Folder with the tissue of slides as you drew or corrected it: SLIDE.geojson (QuPath, or masks/ of a"
        " project), SLIDE.png or SLIDE.tif. It holds for later runs too; auto finds the tissue again.",
        metavar="DIR",
    ),
]
Annotations = Annotated[
    Path | None,
    typer.Option(
        "--annotations",
        help="Folder with one file of outlines per slide, for --only-inside and --not-inside.",
        metavar="DIR",
    ),
]
OnlyInside = Annotated[
    list[str] | None,
    typer.Option("--only-inside", help="Only tissue inside outlines of this class. Repeatable.", metavar="CLASS"),
]
NotInside = Annotated[
    list[str] | None,
    typer.Option("--not-inside", help="No tissue inside outlines of this class. Repeatable.", metavar="CLASS"),
]


def outline_settings(
    annotations: Path | None, only_inside: Sequence[str] | None, not_inside: Sequence[str] | None
) -> dict[str, object]:
    """Return the settings of the outlines that limit the tissue, as far as they were typed.

    Raises
    ------
    SettingsError
        If classes are named and no folder, or the other way round.
    DataError
        If there is no such folder.
    """
    if (annotations is None) != (not only_inside and not not_inside):
        raise SettingsError(
            "--annotations and a class belong together",
            hint="Name the folder with --annotations, and classes with --only-inside or --not-inside",
        )
    if annotations is None:
        return {}
    if not annotations.is_dir():
        raise DataError("there is no such folder", where=annotations, hint="Check the path of --annotations")
    return {
        "annotations": str(annotations.resolve()),
        "only_inside": tuple(only_inside or ()),
        "not_inside": tuple(not_inside or ()),
    }


def with_tissue(entries: Sequence[SlideEntry], tissue: str | None, project: Project) -> list[SlideEntry]:
    """Give each slide its file of a folder of drawn tissue, where there is one; it counts before that of a table.

    Raises
    ------
    DataError
        If no slide has a file there.
    """
    from ..annotations.drawn_tissue import tissue_files

    if tissue is None:
        return list(entries)
    if tissue == FOUND:
        for entry in entries:
            project.forget_drawn_tissue(entry.slide_id)
        return [replace(one, tissue=None) for one in entries]
    files = tissue_files(Path(tissue))
    if entries and not any(one.slide_id in files for one in entries):
        raise DataError(
            f"no slide has a file here; the slides are {listing(one.slide_id for one in entries)}",
            where=tissue,
            hint="Name the files as the slides, for example SLIDE.geojson or SLIDE.png",
        )
    found = [replace(one, tissue=files.get(one.slide_id, one.tissue)) for one in entries]
    names = [one.slide_id for one in found if one.tissue is None]
    without = [name for name in names if not project.drawn_tissue(name).is_file()]
    if without:
        err.print(f"note: the tissue of {listing(without)} is found, since there is no file", markup=False)
    return found
