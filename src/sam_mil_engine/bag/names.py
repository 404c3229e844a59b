"""Names of slides: what may become the name of a file."""

from __future__ import annotations

from os import PathLike
from pathlib import PurePath

from ..errors import DataError


def file_name(slide_id: object, *, where: str | PathLike[str] | None = None) -> str:
    """Return the name itself if a file of one folder can be called so.

    Names come from tables, attributes and archives that other programs wrote; one such as ``../../etc/x`` must
    never lead a file out of its folder, nor one such as ``=cmd()`` run as a formula where a table lists it.

    Raises
    ------
    DataError
        If the name is empty, hidden, begins as a formula does, or holds a folder, a drive or a control character.
    """
    name = str(slide_id)
    bad = not name or name.startswith((".", "=", "+", "-", "@")) or any(sign in name for sign in '/\\:\0"<>|?*')
    if bad or not name.isprintable() or PurePath(name).name != name:
        raise DataError(
            f"the slide's name {name!r} is no file name",
            where=where,
            hint="Rename the slide to letters, digits, dots, hyphens and underscores",
        )
    return name
