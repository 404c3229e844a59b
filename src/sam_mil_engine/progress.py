"""How engine steps report progress: through a callback, never by printing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One report from a running step.

    Attributes
    ----------
    stage
        What runs: ``"tissue"``, ``"features"``, ``"train"`` and so on.
    done, total
        Finished and expected units of work; ``total`` is 0 where it is not known.
    unit
        Name of the unit of work, in the plural: ``"tiles"``, ``"epochs"``.
    message
        Anything else worth a line; shown as it is.
    slide
        The slide that it is about, where several are worked on at once.
    notice
        Whether ``message`` is a fact that the user must read, not how far the step is (:func:`notice`).
    """

    stage: str
    done: int
    total: int
    unit: str = "steps"
    message: str = ""
    slide: str = ""
    notice: bool = False


#: A progress callback. Raising :class:`~sam_mil_engine.errors.Cancelled` in it stops the step.
ProgressCallback = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Ignore a report: the default callback."""


def notice(stage: str, message: str) -> Progress:
    """Return a report that only tells the user a fact, such as which columns of a table are not used."""
    return Progress(stage, 0, 0, message=message, notice=True)
