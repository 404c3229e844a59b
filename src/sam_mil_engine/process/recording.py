"""The slide's line of ``process.csv``, true whatever happens to the slide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..bag import h5
from ..errors import Cancelled, SamMilError
from .project import ProcessRow, Project


@dataclass(slots=True)
class Record:
    """What the stages report for ``process.csv`` while they run."""

    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def recorded(home: Project, slide_id: str, path: Path) -> Iterator[Record]:
    """Write ``running`` now, and when the block ends ``done``, ``failed`` or ``cancelled``."""
    before = home.rows().get(slide_id)
    state = ProcessRow(slide_id, str(path.resolve()), "running", seconds=before.seconds if before else {})
    home.record(state)
    record = Record()

    def finish(name: str, error: str = "", hint: str = "") -> None:
        bag = home.bag(slide_id)
        grid = h5.read_grid(bag) if bag.exists() else None
        segments = h5.read_segments(bag) if bag.exists() else None
        home.record(
            replace(
                state,
                state=name,
                tiles=None if grid is None else len(grid),
                segments=None if segments is None else len(segments),
                seconds={**state.seconds, **record.seconds},
                error=error,
                hint=hint,
            )
        )

    try:
        yield record
    except (Cancelled, KeyboardInterrupt, GeneratorExit):
        finish("cancelled")
        raise
    except SamMilError as error:
        finish("failed", str(_without_hint(error)), error.hint or "")
        raise
    except Exception as error:
        finish("failed", f"{type(error).__name__}: {error}", "This is unexpected; please report it with the log")
        raise
    finish("done")


def _without_hint(error: SamMilError) -> SamMilError:
    """Return the same error without its hint, which has a column of its own."""
    return type(error)(error.what, where=error.where)
