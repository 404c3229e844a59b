"""The task of a Dask worker for one slide: process it, report progress to the client, and stop on request."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .. import layout
from ..errors import Cancelled, ProjectError, SamMilError
from ..process.job import Tools
from ..process.locks import LockedError
from ..process.results import ProcessedSlide, SlideResult
from ..process.runner import process_slide
from ..progress import Progress
from ..settings import ProcessSettings
from ..slide.entry import SlideEntry

#: Seconds between two reports of one stage of a slide.
_REPORT_EVERY = 0.5
#: Seconds in which a lost worker's hold on a slide must end: as long as a file server remembers a lost machine.
_LOCK_WAIT = 180.0
_WORKING = ("running", "paused", "init")


@dataclass(frozen=True, slots=True)
class SlideWork:
    """What travels to the worker: one slide, and how to process it.

    Attributes
    ----------
    slide, project, settings, stages, device
        As for :func:`~sam_mil_engine.process.batch.process_slides`.
    topic
        The topic of the scheduler's events under which the client receives progress.
    """

    slide: SlideEntry
    project: Path
    settings: ProcessSettings
    stages: tuple[str, ...]
    device: str
    topic: str


def process_on_worker(work: SlideWork) -> SlideResult[ProcessedSlide]:
    """Process one slide on a worker; an expected failure is returned as part of the result."""
    from distributed import Reschedule

    slide_id, path, report = work.slide.slide_id, work.slide.path, _Reporter(work)
    try:
        if not (work.project / layout.SETTINGS).is_file():
            raise ProjectError(
                "the worker does not see this project",
                where=work.project,
                hint="Slides and project must have the same paths on every worker: use a shared folder",
            )
        return SlideResult(slide_id, path, _process(work, report).without_arrays())
    except Cancelled as error:
        if report.leaving:
            raise Reschedule from error
        return SlideResult(slide_id, path, error=error)
    except SamMilError as error:
        return SlideResult(slide_id, path, error=error)


def _process(work: SlideWork, report: _Reporter) -> ProcessedSlide:
    """Process the slide; one that a lost worker still holds is waited for."""
    tools, last = _tools(work.settings, work.device), time.monotonic() + _LOCK_WAIT
    while True:
        try:
            return process_slide(work.slide, work.project, stages=work.stages, tools=tools, progress=report)
        except LockedError as error:
            if time.monotonic() > last:
                raise
            report(Progress("waiting", 0, 0, unit="slides", message=error.what))
            time.sleep(1)


_LOADED: dict[str, Tools] = {}


def _tools(settings: ProcessSettings, device: str) -> Tools:
    """Return the models of this worker, loaded once for all its slides."""
    name = f"{device} {settings.model_dump_json()}"
    if name not in _LOADED:
        _LOADED.clear()
        _LOADED[name] = Tools(settings, device=device)
    return _LOADED[name]


class _Reporter:
    """Sends progress to the client, not too often; raises :class:`Cancelled` once the slide is no longer wanted."""

    def __init__(self, work: SlideWork):
        from distributed import get_worker

        self._worker = get_worker()
        self._key = self._worker.get_current_task()
        self._slide, self._topic = work.slide.slide_id, work.topic
        self._stage, self._sent = "", 0.0

    @property
    def leaving(self) -> bool:
        """Whether the worker is about to end: the slide then goes to another worker."""
        return self._worker.status.name not in _WORKING

    def _cancelled(self) -> bool:
        """Whether nobody waits for this slide any more.

        A task of Dask has no public way to ask that (seen in distributed 2026.8: ``worker.state.tasks``). Where the
        table is not there, the slide is processed to its end, and a cancel takes effect at the next slide.
        """
        tasks = getattr(getattr(self._worker, "state", None), "tasks", None)
        if tasks is None:
            return False
        task = tasks.get(self._key)
        return task is None or task.state not in {"executing", "long-running"}

    def __call__(self, report: Progress) -> None:
        if self.leaving or self._cancelled():
            raise Cancelled("the slide was taken away from this worker")
        now = time.monotonic()
        at_an_end = report.stage != self._stage or (report.total and report.done >= report.total)
        if at_an_end or now - self._sent >= _REPORT_EVERY:
            self._stage, self._sent = report.stage, now
            told = asdict(replace(report, slide=self._slide))
            self._worker.log_event(self._topic, {"progress": told})
