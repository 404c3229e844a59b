"""How engine steps say how far they are: they call back, and never print."""

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
    """

    stage: str
    done: int
    total: int
    unit: str = "steps"
    message: str = ""
    slide: str = ""


#: A callback that takes reports. Raising :class:`~sam_mil_engine.errors.Cancelled` in it stops the step.
ProgressCallback = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Take a report and say nothing: the default callback."""
