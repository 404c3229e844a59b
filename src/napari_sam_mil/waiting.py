"""Work that napari must have the result of, while its window goes on living: samples are such."""

from __future__ import annotations

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
        If the user stopped it in the activity panel.
    """
    from qtpy.QtCore import QCoreApplication, QEventLoop

    if QCoreApplication.instance() is None or threading.current_thread() is not threading.main_thread():
        return work(silent)
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
    return results[0]
