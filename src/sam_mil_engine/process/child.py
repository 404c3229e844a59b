"""A child process that finds tissue and patches of one slide after the other, for :mod:`.side_by_side`."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import SamMilError
from ..progress import silent
from ..settings import ProcessSettings
from ..slide.entry import SlideEntry
from .job import Tools
from .project import Project
from .results import ProcessedSlide, SlideResult
from .runner import finish, run_slide


@dataclass(frozen=True, slots=True)
class Task:
    """What a child needs to know of all its slides.

    Attributes
    ----------
    project, settings, stages
        As for :func:`~sam_mil_engine.process_slide`.
    last
        Whether no stage follows after these.
    """

    project: Path
    settings: ProcessSettings
    stages: Sequence[str]
    last: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """How a slide ended, without its arrays, and what was warned of."""

    result: SlideResult[ProcessedSlide]
    warned: tuple[str, ...]


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Read the task, then slides until there are no more, and answer each."""
    task: Task = pickle.load(requests)
    tools, project = Tools(task.settings, device="cpu"), Project(task.project)
    while True:
        try:
            entry: SlideEntry = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(_reply(entry, task, tools, project), replies)
        replies.flush()


def _reply(entry: SlideEntry, task: Task, tools: Tools, project: Project) -> Reply:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            run = run_slide(
                entry, project, tools=tools, wanted=task.stages, progress=silent, last=task.last, look=False
            )
            result = SlideResult(entry.slide_id, entry.path, finish(run).without_arrays())
        except SamMilError as error:
            result = SlideResult(entry.slide_id, entry.path, error=error)
        except Exception as error:  # noqa: BLE001  (it may not travel; process.csv has it)
            told = SamMilError(f"{type(error).__name__}: {error}", where=entry.path)
            result = SlideResult(entry.slide_id, entry.path, error=told)
    ours = [one for one in warned if issubclass(one.category, UserWarning)]
    return Reply(result, tuple(str(one.message) for one in ours))


def main() -> None:
    """Serve the parent over standard input and output; whatever libraries print goes to standard error."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops its children
    cv2.setNumThreads(1)  # every core has a slide
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, replies)
