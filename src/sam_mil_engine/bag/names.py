"""Names of slides: valid file names, and which slide a table means."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path

from ..errors import DataError
from ..slide.finding import EXTENSIONS
from ..slide.info import LONG_ENDINGS
from ..tables.cells import is_file_name, nfc

#: Endings of the files of slides and of their features, longest first.
_ENDINGS = (*LONG_ENDINGS, *sorted(EXTENSIONS | {".h5", ".pt"}))
_WHOLE = re.compile(r"(\d+)\.0+")


def file_name(slide_id: object, *, where: str | PathLike[str] | None = None) -> str:
    """Return the name itself if a file of one folder can be called so.

    Names come from tables, attributes and archives that other programs wrote; one such as ``../../etc/x`` must
    never lead a file out of its folder, nor one such as ``=cmd()`` run as a formula where a table lists it.

    Raises
    ------
    DataError
        If it cannot (:func:`~sam_mil_engine.tables.cells.is_file_name`).
    """
    name = str(slide_id)
    if not is_file_name(name):
        raise DataError(
            f"the slide's name {name!r} is not a valid file name",
            where=where,
            hint="Rename the slide; use only letters, digits, dots, hyphens and underscores",
        )
    return name


def safe_name(text: str) -> str:
    """Return a text (the name of a class, of an encoder) as a part of a file name on every system.

    What is not a letter, a digit or one of ``_.+ ()-`` becomes a hyphen: ``tumour/stroma`` -> ``tumour-stroma``.
    """
    return re.sub(r"[^\w.+ ()-]+", "-", text).strip(". -") or "unnamed"


class KnownNames:
    """The slides that are at hand, to be found by what a table calls them.

    Parameters
    ----------
    names
        Their names, as they are.
    """

    def __init__(self, names: Iterable[str]):
        self._names = {nfc(name): name for name in names}
        self._stripped = {name.strip(): known for name, known in self._names.items()}

    def find(self, written: str) -> str | None:
        """Return the slide that a table means, or None where there is no such slide.

        The name itself counts first, in whatever Unicode form: nothing is cut off what a slide is really called.
        Only where there is no such slide: the name that lost white space at its ends; a number that was read as a
        decimal (``1006.0``); the name of the slide's file (``a.svs``, ``a.h5``).
        """
        name = nfc(written)
        if name in self._names:
            return self._names[name]
        return next((self._stripped[other] for other in _others(name.strip()) if other in self._stripped), None)


def without_ending(name: str) -> str:
    """Return the name of a slide's file, or of its features, without the ending of such a file."""
    return next((name[: -len(ending)] for ending in _ENDINGS if name.lower().endswith(ending)), name)


def _others(name: str) -> Iterator[str]:
    yield name
    if whole := _WHOLE.fullmatch(name):
        yield whole[1]
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            yield name[: -len(ending)]


def find_existing(path: Path) -> Path:
    """Return the path, with the name in the Unicode form of the file that is there, if one is."""
    if path.name.isascii() or path.exists():
        return path
    forms = (path.with_name(unicodedata.normalize(form, path.name)) for form in ("NFD", "NFC"))
    return next((other for other in forms if other.exists()), path)
