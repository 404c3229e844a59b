"""Rate and remaining time of a stage, as text."""

from __future__ import annotations

from sam_mil_engine.progress import Progress


class Eta:
    """Estimates when a stage ends, from its progress reports.

    Parameters
    ----------
    now
        The clock at the first report, in seconds.
    """

    def __init__(self, first: Progress, *, now: float):
        self._first_done = first.done
        self._started = now

    def describe(self, progress: Progress, *, now: float) -> str:
        """Return ``120 of 400 tiles · 31/s · 9 s left``; rate and time appear after half a second."""
        if progress.total == 0:
            return progress.message or f"{progress.done} {progress.unit}"
        parts = [f"{progress.done:,} of {progress.total:,} {progress.unit}"]
        fresh, seconds = progress.done - self._first_done, now - self._started
        if fresh > 0 and seconds > 0.5 and progress.done < progress.total:
            rate = fresh / seconds
            parts.append(f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
            parts.append(f"{duration((progress.total - progress.done) / rate)} left")
        return " · ".join(parts)


def duration(seconds: float) -> str:
    """Format seconds: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
