"""Lines of ``process.csv`` that say ``running`` although nobody works on the slide any more."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace

from .locking import HeldElsewhereError
from .project import Project

LOST = "the process that worked on it has ended before the slide did"
LOST_HINT = "Run process again, it goes on where this one stopped; if it ends again, look for a lack of memory"


def settle(
    home: Project,
    slides: Collection[str] | None = None,
    *,
    wait: float = 0.0,
    state: str = "cancelled",
    error: str = LOST,
    hint: str = LOST_HINT,
) -> None:
    """Correct the lines of slides whose process was killed.

    A process that lives holds the lock of its slide: such lines are true, and are left alone.

    Parameters
    ----------
    home
        The project.
    slides
        Which slides to look at; all where None.
    wait
        Seconds to give those that still run to end by themselves.
    state, error, hint
        What the line is to say instead.
    """
    last = time.monotonic() + wait
    while True:
        running = [
            row
            for name, row in home.rows().items()
            if row.state == "running" and (slides is None or name in slides)
        ]
        held = [name for name in (row.slide_id for row in running) if not _correct(home, name, state, error, hint)]
        if not held or time.monotonic() > last:
            return
        time.sleep(0.2)


def _correct(home: Project, slide_id: str, state: str, error: str, hint: str) -> bool:
    """Correct one line; return whether nobody holds the slide."""
    try:
        with home.lock(slide_id):
            row = home.rows()[slide_id]
            if row.state == "running":
                home.record(replace(row, state=state, error=error, hint=hint))
    except HeldElsewhereError:
        return False
    return True
