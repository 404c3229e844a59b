"""Open any slide: the readers by name, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from ..errors import SlideError
from .openslide_reader import open_with_openslide
from .slide import Slide, SlideReader

__all__ = ["READERS", "Slide", "SlideReader", "open_slide"]

#: Opens a file, or returns None where it is not of a kind that this reader knows.
Opener = Callable[[Path], SlideReader | None]

#: The readers in the order in which they are tried.
READERS: dict[str, Opener] = {"openslide": open_with_openslide}


def open_slide(path: str | PathLike[str]) -> Slide:
    """Open a slide of any format.

    Raises
    ------
    SlideError
        If there is no such file, or no reader can open it: with each reader's own words and a hint.
    """
    path = Path(path)
    if not path.is_file():
        raise SlideError("there is no such file", where=path)
    for opener in READERS.values():
        reader = opener(path)
        if reader is not None:
            return Slide(reader)
    raise SlideError("no reader can open it", where=path)
