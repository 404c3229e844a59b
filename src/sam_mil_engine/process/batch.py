"""Many slides: one that fails does not stop the others, and the next ones are prepared while one runs."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
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
from ..slide.entry import SlideEntry
from ..slide.finding import require_own_names
from .job import Tools, require_encoders
from .locks import LockedError
from .project import Project
from .recorded import with_recorded_segments
from .results import ProcessedSlide, SlideResult
from .runner import FIRST_HALF, SlideRun, check_stages, finish, run_slide

_log = logging.getLogger(__name__)
#: Makes the run of a slide, which tells the callback how far it is.
Begin = Callable[[SlideEntry, ProgressCallback], SlideRun]

LOST = "the process that worked on this slide ended before the slide was finished"
LOST_HINT = (
    "Run process again: it continues where this run stopped. If it ends again, the machine may be short of memory"
)


def process_slides(
    slides: Sequence[str | Path | SlideEntry],
    project: str | Path,
    *,
    settings: ProcessSettings | None = None,
    stages: Collection[str] = STAGES,
    device: str = "auto",
    tools: Tools | None = None,
    ahead: int | None = None,
    jobs: int = 1,
    progress: ProgressCallback = silent,
) -> Generator[SlideResult[ProcessedSlide]]:
    """Run :func:`~sam_mil_engine.process_slide` on many slides; one that fails does not stop the others.

    Parameters
    ----------
    slides, project, settings, stages, tools, progress
        As for :func:`~sam_mil_engine.process_slide`; ``progress`` is called by the caller's thread.
    device
        Where models run that are not in ``tools``.
    ahead
        Slides that are opened, and whose tissue and first patches are read, while another one is encoded; 0 takes
        one after the other; None chooses by device and cores. No bag depends on it.
    jobs
        Slides whose tissue and patches are found side by side, each in its own process, before the other stages
        begin; 1 finds them slide by slide. No bag depends on it.

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
    target = Project(project)
    if tools is None:
        tools = Tools(with_recorded_segments(settings or ProcessSettings(), project), device=device)
    entries = target.entries(slides, settings=tools.settings)
    check_names(entries, stages)
    wanted = check_stages(stages)
    if ahead is None:
        ahead = slides_ahead(pick_device(tools.device)) if "features" in wanted else 0
    target.save_settings(tools.settings, versions())  # a folder that cannot be written is no matter of one slide
    correct_lost_rows(target)
    require_encoders(target, entries, tools, stages=wanted)

    def begin(entry: SlideEntry, report: ProgressCallback) -> SlideRun:
        look = entry.slide_id not in early  # those a child has read already
        return run_slide(entry, target, tools=tools, wanted=wanted, progress=report, look=look)

    early = _prepared(entries, target, tools=tools, wanted=wanted, jobs=jobs, progress=progress)
    nothing_follows = set(wanted) <= set(FIRST_HALF)
    found = [early[one.slide_id] for one in entries if one.slide_id in early]
    ended = {item.slide_id: item for item in found if nothing_follows or item.error is not None}
    for item in ended.values():
        yield item if item.result is None else replace(item, result=item.result.with_arrays())
    rest = [entry for entry in entries if entry.slide_id not in ended]
    with closing(overlapped(rest, begin, ahead=ahead, progress=progress)) as prepared:
        for entry, slide in prepared:
            yield _with_time(_slide_result(entry, slide), early.get(entry.slide_id))


def _prepared(
    entries: Sequence[SlideEntry],
    project: Project,
    *,
    tools: Tools,
    wanted: Sequence[str],
    jobs: int,
    progress: ProgressCallback,
) -> dict[str, SlideResult[ProcessedSlide]]:
    """Find tissue and patches side by side where that is asked for; ``process.csv`` is true if this is stopped."""
    if min(jobs, len(entries)) < 2:
        return {}
    from .side_by_side import prepare_slides

    try:
        return prepare_slides(entries, project, tools=tools, stages=wanted, jobs=jobs, progress=progress)
    except BaseException:
        correct_lost_rows(project, {entry.slide_id for entry in entries})
        raise


def _with_time(
    item: SlideResult[ProcessedSlide], early: SlideResult[ProcessedSlide] | None
) -> SlideResult[ProcessedSlide]:
    """Add the seconds of stages that a child process did before."""
    if early is None or early.result is None or item.result is None:
        return item
    did = early.result.seconds
    reused = tuple(stage for stage in item.result.reused if stage not in did)
    return replace(item, result=replace(item.result, seconds={**did, **item.result.seconds}, reused=reused))


def _slide_result(entry: SlideEntry, slide: PreparedSlide) -> SlideResult[ProcessedSlide]:
    slide_id, path = entry.slide_id, entry.path
    try:
        return SlideResult(slide_id, path, slide.finish())
    except Cancelled:
        raise
    except SamMilError as error:
        return SlideResult(slide_id, path, error=error)
    except Exception as error:  # noqa: BLE001  (one slide never stops the others; the log has the traceback)
        _log.exception("unexpected error in %s", path)
        return SlideResult(slide_id, path, error=error)


def check_names(slides: Iterable[SlideEntry], stages: Collection[str]) -> None:
    """Refuse unknown stages and slides whose files would overwrite each other."""
    check_stages(stages)
    require_own_names((one.slide_id, one.path) for one in slides)


class PreparedSlide:
    """A slide whose first half runs in a thread, and whose second half runs where :meth:`finish` is called.

    The callback is not called before that: it is called by the caller's thread only, and a slide's reports come
    when it is the slide's turn.
    """

    def __init__(self, entry: SlideEntry, begin: Begin, progress: ProgressCallback, thread: ThreadPoolExecutor):
        self._progress = progress
        self._reports: SimpleQueue[Progress | None] = SimpleQueue()
        self._stopped = self._my_turn = False
        self._run = begin(entry, self._report)
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
    entries: Sequence[SlideEntry], begin: Begin, *, ahead: int, progress: ProgressCallback
) -> Generator[tuple[SlideEntry, PreparedSlide]]:
    """Yield the slides in their order, each with ``ahead`` slides prepared behind it.

    Whoever takes a slide finishes it before asking for the next one. Closing the generator cancels those that are
    prepared and were not handed out.
    """
    waiting: deque[tuple[SlideEntry, PreparedSlide]] = deque()
    rest = iter(entries)
    with ThreadPoolExecutor(1, thread_name_prefix="next-slide") as thread:
        try:
            while True:
                for entry in islice(rest, ahead + 1 - len(waiting)):
                    waiting.append((entry, PreparedSlide(entry, begin, progress, thread)))
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
