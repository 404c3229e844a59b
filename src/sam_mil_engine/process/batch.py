"""Many slides: one that fails does not stop the others, and the next ones are prepared while one runs."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

from ..devices import pick_device, slides_ahead
from ..errors import Cancelled, SamMilError
from ..progress import Progress, ProgressCallback, silent
from ..provenance import versions
from ..settings import STAGES, ProcessSettings
from ..slide.finding import require_own_names
from ..slide.info import slide_id_of
from .job import Tools, require_encoders
from .project import LockedError, Project
from .results import ProcessedSlide, SlideResult
from .runner import SlideRun, check_stages, finish, run_slide

_log = logging.getLogger(__name__)
#: Makes the run of a slide, which tells the callback how far it is.
Begin = Callable[[Path, ProgressCallback], SlideRun]

LOST = "the process that worked on this slide ended before the slide was finished"
LOST_HINT = (
    "Run process again: it continues where this run stopped. If it ends again, the machine may be short of memory"
)


def process_slides(
    paths: Sequence[Path],
    project: str | Path,
    *,
    settings: ProcessSettings | None = None,
    stages: Collection[str] = STAGES,
    device: str = "auto",
    tools: Tools | None = None,
    ahead: int | None = None,
    progress: ProgressCallback = silent,
) -> Generator[SlideResult[ProcessedSlide]]:
    """Run :func:`~sam_mil_engine.process_slide` on many slides; one that fails does not stop the others.

    Parameters
    ----------
    paths, project, settings, stages, tools, progress
        As for :func:`~sam_mil_engine.process_slide`; ``progress`` is called by the caller's thread.
    device
        Where models run that are not in ``tools``.
    ahead
        Slides that are opened, and whose tissue and first patches are read, while another one is encoded; 0 takes
        one after the other; None chooses by device and cores. No bag depends on it.

    Yields
    ------
    SlideResult
        As soon as each slide ends. Failures are in ``process.csv`` too, with a hint.

    Raises
    ------
    DataError
        Before anything runs, if two slides have the same name: their files would overwrite each other.
    EncoderError
        Before anything runs, if an encoder that is needed cannot be used: its weights are neither here nor to be
        had.
    """
    check_names(paths, stages)
    tools = tools or Tools(settings or ProcessSettings(), device=device)
    wanted = check_stages(stages)
    if ahead is None:
        ahead = slides_ahead(pick_device(tools.device)) if "features" in wanted else 0
    target = Project(project)
    target.save_settings(tools.settings, versions())  # a folder that cannot be written is no matter of one slide
    correct_lost_rows(target)
    require_encoders(target, paths, tools, stages=wanted)

    def begin(path: Path, report: ProgressCallback) -> SlideRun:
        return run_slide(path, target, tools=tools, wanted=wanted, progress=report)

    with closing(overlapped(paths, begin, ahead=ahead, progress=progress)) as slides:
        for path, slide in slides:
            yield _slide_result(path, slide)


def _slide_result(path: Path, slide: PreparedSlide) -> SlideResult[ProcessedSlide]:
    slide_id = slide_id_of(path)
    try:
        return SlideResult(slide_id, path, slide.finish())
    except Cancelled:
        raise
    except SamMilError as error:
        return SlideResult(slide_id, path, error=error)
    except Exception as error:  # noqa: BLE001  (one slide never stops the others; the log has the traceback)
        _log.exception("unexpected error in %s", path)
        return SlideResult(slide_id, path, error=error)


def check_names(paths: Sequence[Path], stages: Collection[str]) -> None:
    """Refuse unknown stages and slides whose files would overwrite each other."""
    check_stages(stages)
    require_own_names((slide_id_of(path), path) for path in paths)


class PreparedSlide:
    """A slide whose first half runs in a thread, and whose second half runs where :meth:`finish` is called.

    The callback is not called before that: it is called by the caller's thread only, and a slide's reports come
    when it is the slide's turn.
    """

    def __init__(self, path: Path, begin: Begin, progress: ProgressCallback, thread: ThreadPoolExecutor):
        self._progress = progress
        self._reports: SimpleQueue[Progress | None] = SimpleQueue()
        self._stopped = self._my_turn = False
        self._run = begin(path, self._report)
        self._ready: Future[None] = thread.submit(next, self._run)
        self._ready.add_done_callback(lambda _: self._reports.put(None))

    def _report(self, report: Progress) -> None:
        if self._stopped:
            raise Cancelled("the run was stopped")
        if self._my_turn:
            self._progress(report)
        else:
            self._reports.put(report)

    def finish(self) -> ProcessedSlide:
        """Run the second half; raises what went wrong in either."""
        try:
            while (report := self._reports.get()) is not None:
                self._progress(report)
        except BaseException:
            self.cancel()
            raise
        self._ready.result()
        self._my_turn = True
        return finish(self._run)

    def cancel(self) -> None:
        """Give the slide back; its finished stages are saved."""
        self._stopped = True
        if not self._ready.cancel():
            self._ready.exception()
        self._run.close()


def overlapped(
    paths: Sequence[Path], begin: Begin, *, ahead: int, progress: ProgressCallback
) -> Generator[tuple[Path, PreparedSlide]]:
    """Yield the slides in their order, each with ``ahead`` slides prepared behind it.

    Whoever takes a slide finishes it before asking for the next one. Closing the generator cancels those that are
    prepared and were not handed out.
    """
    waiting: deque[tuple[Path, PreparedSlide]] = deque()
    rest = iter(paths)
    with ThreadPoolExecutor(1, thread_name_prefix="next-slide") as thread:
        try:
            while True:
                for path in islice(rest, ahead + 1 - len(waiting)):
                    waiting.append((path, PreparedSlide(path, begin, progress, thread)))
                if not waiting:
                    return
                yield waiting.popleft()
        finally:
            for _, slide in waiting:
                slide.cancel()


def correct_lost_rows(
    project: Project,
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
    project
        The project.
    slides
        Which slides to check; all where None.
    wait
        Seconds to give those that still run to end by themselves.
    state, error, hint
        What the line is to say instead.
    """
    last = time.monotonic() + wait
    while True:
        running = [
            row
            for name, row in project.rows().items()
            if row.state == "running" and (slides is None or name in slides)
        ]
        held = [
            name for name in (row.slide_id for row in running) if not _correct(project, name, state, error, hint)
        ]
        if not held or time.monotonic() > last:
            return
        time.sleep(0.2)


def _correct(project: Project, slide_id: str, state: str, error: str, hint: str) -> bool:
    """Correct one line; return whether nobody holds the slide."""
    try:
        with project.lock(slide_id):
            row = project.rows()[slide_id]
            if row.state == "running":
                project.record(replace(row, state=state, error=error, hint=hint))
    except LockedError:
        return False
    return True
