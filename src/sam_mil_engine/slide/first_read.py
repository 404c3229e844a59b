"""A slide is opened and read a little in a child process before this one opens it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .. import first_look
from ..errors import SlideError
from .reader import open_slide

_HINT = "The file may be damaged: copy it again from its source"
_TILE_PX = 256
#: Where each level is read, as parts of its width and height.
_PLACES = ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0))


def require_readable(path: Path, *, while_waiting: Callable[[], object] = first_look.keep_waiting) -> None:
    """Raise :class:`SlideError` if opening a slide crashes or hangs a process.

    C libraries read slides, and some damaged files make them end their process. Any other fault of the file is left
    to :func:`~sam_mil_engine.slide.reader.open_slide`. Costs milliseconds; the first slide of a process costs the
    start of another one. A slide that has not changed since it was looked at costs nothing.

    Parameters
    ----------
    path
        The slide.
    while_waiting
        Called a few times a second. What it raises, as :class:`~sam_mil_engine.errors.Cancelled`, ends the look and
        is raised here.
    """
    problem = first_look.problem(f"{__name__}:read_some", path, while_waiting=while_waiting)
    if problem is not None:
        raise SlideError(problem, where=path, hint=_HINT)


def read_some(path: Path) -> None:
    """Open a slide, and read a tile at three places of every level."""
    with open_slide(path) as slide:
        for level, (width, height) in enumerate(slide.info.level_sizes):
            for x, y in _PLACES:
                corner = int(x * max(0, width - _TILE_PX)), int(y * max(0, height - _TILE_PX))
                with suppress(SlideError):
                    slide.read_level(level, corner, (_TILE_PX, _TILE_PX))
