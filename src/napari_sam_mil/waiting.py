"""Work that napari must have the result of, while its window goes on living: samples are such."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from sam_mil_engine.errors import Cancelled
from sam_mil_engine.progress import ProgressCallback, silent


def wait_for(work: Callable[[ProgressCallback], Any], title: str) -> Any:
    """Do some work in a thread and return its result; without a window, do it at once.

    napari asks for a sample and goes on when it has it. Meanwhile the window is drawn and answers, and the activity
    panel shows how far it is.

    Raises
    ------
    Exception
        What the work raised.
    Cancelled
        If the user stopped it in the activity panel, or closed napari.
    """
    if not _in_thread_of_window():
        return work(silent)
    from qtpy.QtCore import QEventLoop

    from .activity import Activity
    from .jobs import Job

    results: list[Any] = []
    errors: list[BaseException] = []
    job, loop = Job(work), QEventLoop()
    job.succeeded.connect(results.append)
    job.failed.connect(errors.append)
    job.cancelled.connect(lambda: errors.append(Cancelled(f"{title} was cancelled")))
    job.ended.connect(loop.quit)
    Activity(job, title)
    job.start()
    loop.exec()
    if errors:
        raise errors[0]
    if not results:
        # napari was closed: that ends every loop of its thread
        job.cancel()
        raise Cancelled(f"{title} was not finished")
    return results[0]


def breathe() -> None:
    """Let the window work off what is waiting, in the middle of long work in its own thread."""
    if _in_thread_of_window():
        from qtpy.QtCore import QCoreApplication

        QCoreApplication.processEvents()


def _in_thread_of_window() -> bool:
    """Whether a window waits for this thread; without Qt there is none, and Qt is not loaded to find that out."""
    if "qtpy.QtCore" not in sys.modules or threading.current_thread() is not threading.main_thread():
        return False
    from qtpy.QtCore import QCoreApplication

    return QCoreApplication.instance() is not None
