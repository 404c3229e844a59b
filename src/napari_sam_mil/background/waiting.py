"""Work that napari must have the result of, while its window goes on living: samples are such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from sam_mil_engine.errors import Cancelled, SamMilError
from sam_mil_engine.progress import ProgressCallback, silent

from ..napari_compat.event_loop import in_window_thread, later, run_until


def wait_for(work: Callable[[ProgressCallback], Any], title: str) -> Any:
    """Do some work in a thread and return its result; without a window, do it at once.

    napari asks for a sample and goes on when it has it. Meanwhile the window is drawn and answers, and the activity
    panel shows how far it is.

    Raises
    ------
    Exception
        What the work raised, with the hint for the window.
    Cancelled
        If the user stopped it in the activity panel, or closed napari.
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
        # napari was closed: that ends every loop of its thread
        job.cancel()
        raise Cancelled(f"{title} was not finished")
    return results[0]


def raise_in_window(error: BaseException) -> NoReturn:
    """Raise an error through napari, which shows it: with the hint for the window, and read to its end."""
    if not isinstance(error, SamMilError):
        raise error
    from ..napari_compat.toasts import open_toast

    shown = error.for_window()
    later(lambda: open_toast(str(shown), stays=True))
    raise shown from error
