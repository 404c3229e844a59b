"""Progress in a log: plain lines, not too many of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..progress import Progress

#: Seconds between two lines of one stage, and between two lines about all slides that are worked on.
LOG_EVERY = 10.0
#: Slides that such a line names.
_NAMED = 4


class ProgressLines:
    """A callback that writes lines.

    Parameters
    ----------
    write
        Takes a line.
    clock
        Seconds that only ever grow.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic):
        self._write, self._clock = write, clock
        self._start: dict[tuple[str, str], float] = {}
        self._last: dict[str, float] = {}
        self._slides: dict[str, Progress] = {}

    def __call__(self, report: Progress) -> None:
        """Take a report."""
        if report.notice:
            self._write(f"{report.stage}: {report.message}")
            return
        now = self._clock()
        if report.done == 0 or (report.slide, report.stage) not in self._start:
            self._start[report.slide, report.stage] = now
        if report.slide:
            self._take_slide(report, now)
        else:
            self._take_stage(report, now)

    def _take_stage(self, report: Progress, now: float) -> None:
        if report.done == 0:
            self._last[report.stage] = now
        if _finished(report) or now - self._last.setdefault(report.stage, now) >= LOG_EVERY:
            self._last[report.stage] = now
            spent = now - self._start[report.slide, report.stage]
            message = f" {report.message}" if report.message else ""
            self._write(f"{report.stage}: {_count(report)} in {spent:.1f} s{self._left(report, now)}{message}")

    def _take_slide(self, report: Progress, now: float) -> None:
        if report.stage == "process":  # which stage begins, or that the slide ends
            if _finished(report):
                self._slides.pop(report.slide, None)
                return
            report = Progress(report.message, 0, 0, slide=report.slide)
        self._slides[report.slide] = report
        if now - self._last.setdefault("slides", now) >= LOG_EVERY:
            self._last["slides"] = now
            named = list(self._slides.values())[:_NAMED]
            more = len(self._slides) - len(named)
            texts = [self._where(report, now) for report in named] + ([f"and {more} more"] if more else [])
            self._write(f"now: {'; '.join(texts)}")

    def _where(self, report: Progress, now: float) -> str:
        count = f" {_count(report)}" if report.total else ""
        return f"{report.slide} {report.stage}{count}{self._left(report, now)}"

    def _left(self, report: Progress, now: float) -> str:
        if not report.total or not report.done or _finished(report):
            return ""
        spent = now - self._start.get((report.slide, report.stage), now)
        return f", about {spent / report.done * (report.total - report.done):.0f} s left"


def _finished(report: Progress) -> bool:
    return bool(report.total) and report.done >= report.total


def _count(report: Progress) -> str:
    return f"{report.done}/{report.total} {report.unit}" if report.total else f"{report.done} {report.unit}"
