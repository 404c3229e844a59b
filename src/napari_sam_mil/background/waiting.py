"""Run work in a thread and wait for its result while the window stays responsive, as for sample data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from sam_mil_engine.errors import Cancelled, SamMilError
from sam_mil_engine.progress import ProgressCallback, silent

from ..napari_compat.event_loop import call_later, in_window_thread, run_until


def wait_for(work: Callable[[ProgressCallback], Any], title: str) -> Any:
    """Do some work in a thread and return its result. Without a window, do it in this thread.

    napari blocks until it has a sample. This function keeps the window responsive in the meantime, and the activity
    panel shows the progress.

    Raises
    ------
    Exception
        The error of the work, with the hint for the window.
    Cancelled
        If the user cancelled it in the activity panel, or closed napari.
    """
    if not in_window_thread():
        return work(silent)
    from .activity import Activity
    from .jobs import Job

    results: list[Any] = []
    errors: list[BaseException] = []
    job = Job(work)
    job.succeeded.connect(results.append)
    job.failed.connect(errors.append)
    job.cancelled.connect(lambda: errors.append(Cancelled(f"{title} was cancelled")))
    Activity(job, title)

    def begin(stop: Callable[[], Any]) -> None:
        job.ended.connect(stop)
        job.start()

    run_until(begin)
    if errors:
        raise_in_window(errors[0])
    if not results:
        # closing napari ends every event loop of its thread
        job.cancel()
        raise Cancelled(f"{title} was not finished")
    return results[0]


def raise_in_window(error: BaseException) -> NoReturn:
    """Raise an error that napari shows, with the hint for the window and without truncation."""
    if not isinstance(error, SamMilError):
        raise error
    from ..napari_compat.toasts import open_toast

    shown = error.for_window()
    call_later(lambda: open_toast(str(shown), stays=True))
    raise shown from error
