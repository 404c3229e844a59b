"""Many slides, overlapped: while one is with the models, the next is opened, its tissue found, its tiles read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

from ..errors import Cancelled
from ..progress import Progress, ProgressCallback
from .results import ProcessedSlide
from .runner import SlideRun, finish

#: Makes the run of a slide, which tells the callback how far it is.
Begin = Callable[[Path, ProgressCallback], SlideRun]


class PreparedSlide:
    """A slide whose first half runs in a thread, and whose second half runs where :meth:`finish` is called.

    The callback hears nothing before that: it is called by the caller's thread only, and a slide's reports come
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
        """Give the slide back; what is finished of it is kept."""
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
