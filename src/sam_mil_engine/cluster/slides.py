"""Many slides on many processes or machines, through dask.distributed: a slide is the unit."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ..errors import ProjectError, SamMilError
from ..process.batch import check_names, correct_lost_rows
from ..process.project import Project
from ..process.recorded import with_recorded_segments
from ..process.results import ProcessedSlide, ProcessRow, SlideResult
from ..progress import Progress, ProgressCallback, silent
from ..provenance import versions
from ..settings import STAGES, ProcessSettings
from ..slide.entry import SlideEntry
from .client import GPU, capacity, connected
from .slide_worker import SlideWork, process_on_worker

#: Seconds between two checks of the cluster; a run that is cancelled stops within them.
_POLL = 1.0
#: Slides that are given out beforehand, at least: so many workers a cluster that grows with its work may start.
_AHEAD = 32
#: Seconds that workers have to stop in when the run is cancelled.
_STOP = 10.0


def process_on_cluster(
    slides: Sequence[str | Path | SlideEntry],
    project: str | Path,
    *,
    settings: ProcessSettings | None = None,
    stages: Collection[str] = STAGES,
    device: str = "auto",
    address: str = "local",
    progress: ProgressCallback = silent,
    announce: Callable[[str], None] | None = None,
) -> Generator[SlideResult[ProcessedSlide]]:
    """Run :func:`~sam_mil_engine.process_slide` on the workers of a Dask scheduler.

    Where a worker declares the resource ``GPU``, every slide asks for one of it. A slide whose worker is lost is
    given to another one; one that loses several workers is tried once more when all the others are done.

    Parameters
    ----------
    slides, project, settings, stages, device
        As for :func:`~sam_mil_engine.process.batch.process_slides`; slides and project must have the same paths on
        every worker.
    address
        ``local`` starts workers on this machine, one per CUDA device or else one per core; else the address of a
        scheduler, ``tcp://HOST:PORT``.
    progress
        Is called for all slides together, stage ``cluster``, and of each stage of each slide, named in ``slide``;
        called by the caller's thread.
    announce
        Called once with the address of Dask's dashboard, where there is one.

    Yields
    ------
    SlideResult
        As slides end, in no fixed order. Closing the generator, or an exception out of ``progress``, cancels what
        is not done; ``process.csv`` says so.

    Raises
    ------
    ProjectError
        If the scheduler does not answer, or no longer; finished slides are saved.
    """
    target, settings = Project(project), with_recorded_segments(settings or ProcessSettings(), project)
    entries = target.entries(slides, settings=settings)
    check_names(entries, stages)
    target.save_settings(settings, versions())
    correct_lost_rows(target)
    with connected(address, device=device, most=len(entries)) as client:
        if announce is not None and client.dashboard_link:
            announce(str(client.dashboard_link))

        def work(slide: SlideEntry, topic: str) -> SlideWork:
            return SlideWork(
                slide=slide,
                project=target.folder,
                settings=settings,
                stages=tuple(stages),
                device=device,
                topic=topic,
            )

        run = _Run(client, target, entries, work, progress)
        with closing(run):
            yield from run.results()


class _Run:
    """The slides of one call, on their way to the workers and back."""

    def __init__(
        self,
        client: Any,
        project: Project,
        slides: Sequence[SlideEntry],
        work: Callable[[SlideEntry, str], SlideWork],
        progress: ProgressCallback,
    ):
        self._client, self._project, self._work, self._progress = client, project, work, progress
        self._address = str(client.scheduler.address)
        self._name = f"slides-{uuid.uuid4().hex[:8]}"
        self._waiting = deque(slides)
        self._running: dict[Any, SlideEntry] = {}
        #: Slides that were on several workers which were lost; each is tried again alone.
        self._suspects: deque[SlideEntry] = deque()
        self._total, self._done = len(slides), 0
        self._news: SimpleQueue[Any] = SimpleQueue()
        client.subscribe_topic(self._name, lambda event: self._news.put(Progress(**event[1]["progress"])))

    def results(self) -> Iterator[SlideResult[ProcessedSlide]]:
        """Give out slides and yield how they end."""
        looked = -_POLL
        while self._waiting or self._running or self._suspects:
            if time.monotonic() - looked >= _POLL:
                self._give_out()
                looked = time.monotonic()
            try:
                news = self._news.get(timeout=_POLL)
            except Empty:
                continue
            if isinstance(news, Progress):
                self._progress(news)
            elif news in self._running:
                looked = -_POLL
                yield from self._ended(news)

    def _give_out(self) -> None:
        if self._client.status != "running":
            raise self._gone()
        try:
            slots, gpus = capacity(self._client)
        except OSError as error:  # it went since the client looked last
            raise self._gone() from error
        self._progress(
            Progress(
                "cluster", self._done, self._total, unit="slides", message="" if slots else "waiting for workers"
            )
        )
        if self._suspects and not (self._waiting or self._running):
            self._submit(self._suspects[0], gpus)
        while self._waiting and len(self._running) < max(_AHEAD, 2 * slots):
            self._submit(self._waiting.popleft(), gpus)

    def _submit(self, slide: SlideEntry, gpus: bool) -> None:
        work = self._work(slide, self._name)
        future = self._client.submit(
            process_on_worker,
            work,
            resources={GPU: 1} if gpus and work.device != "cpu" else None,
            key=(f"{self._name}-{uuid.uuid4().hex[:8]}", slide.slide_id),
            pure=False,
        )
        self._running[future] = slide
        future.add_done_callback(self._news.put)

    def _gone(self) -> ProjectError:
        return ProjectError(
            f"the connection to the Dask scheduler is lost; {self._done} of {self._total} slides are done",
            where=self._address,
            hint="Finished slides are saved: start the scheduler and the workers again, then run the same command",
        )

    def _ended(self, future: Any) -> Iterator[SlideResult[ProcessedSlide]]:
        from distributed import KilledWorker

        if future.cancelled():
            raise self._gone()
        slide = self._running.pop(future)
        error = future.exception() if future.status == "error" else None
        alone = bool(self._suspects) and slide == self._suspects[0]
        if alone:
            self._suspects.popleft()
        elif isinstance(error, KilledWorker):
            self._suspects.append(slide)
            correct_lost_rows(self._project, {slide.slide_id})
            return
        slide_id = slide.slide_id
        if error is None:
            item: SlideResult[ProcessedSlide] = future.result()
        else:
            item = SlideResult(slide_id, slide.path, error=self._failed(slide, error))
        self._done += 1
        self._progress(Progress("process", 1, 1, unit="slides", message="done", slide=slide_id))
        self._progress(Progress("cluster", self._done, self._total, unit="slides"))
        yield item

    def _failed(self, slide: SlideEntry, error: BaseException) -> BaseException:
        """Put a failure that no worker could record into ``process.csv``; return it as what it means."""
        from distributed import KilledWorker

        slide_id, path = slide.slide_id, slide.path
        if isinstance(error, KilledWorker):
            error = ProjectError(
                "every worker that had this slide was lost",
                where=path,
                hint="They probably ran out of memory: give each worker more, for example with fewer "
                "workers per machine",
            )
        row = self._project.rows().get(slide_id) or ProcessRow(slide_id, str(path.resolve()), "running")
        if row.state != "failed":
            what = error.what if isinstance(error, SamMilError) else f"{type(error).__name__}: {error}"
            hint = getattr(error, "hint", None) or "This is unexpected; please report it with the worker's log"
            self._project.record(replace(row, state="failed", error=what, hint=hint))
        return error

    def close(self) -> None:
        """Cancel what is not done, and leave ``process.csv`` true."""
        if not self._running:
            return
        if self._client.status == "running":
            self._client.cancel(list(self._running), force=True)
        correct_lost_rows(self._project, {slide.slide_id for slide in self._running.values()}, wait=_STOP)
