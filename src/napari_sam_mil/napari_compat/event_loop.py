"""Qt's event loop in the middle of work, and threads that give way to it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

#: Seconds after which Python takes its global lock from a thread while a job runs; its own default is 5 ms.
SWITCH_INTERVAL = 0.0005
_DEFAULT_INTERVAL = sys.getswitchinterval()


def process_events() -> None:
    """Let the window handle the events that wait, in the middle of long work in its own thread.

    Why
        A layer takes napari a tenth of a second in the window's thread, and a result has five.
    Seen in
        Qt 6 (``QCoreApplication.processEvents``). Whoever calls it must expect that the window has changed: a slide
        closed, a button pressed.
    Without it
        The same layers appear, after one longer stop.
    """
    if in_window_thread():
        from qtpy.QtCore import QCoreApplication

        QCoreApplication.processEvents()


def call_later(work: Callable[[], object]) -> None:
    """Do something once the window has handled the event that it is in; at once where there is no window.

    Why
        napari's list of layers must not change while it tells of a change.
    Seen in
        Qt 6 (``QTimer.singleShot``), napari 0.9.2.
    Without it
        The work is done at once.
    """
    if not in_window_thread():
        work()
        return
    from qtpy.QtCore import QTimer

    QTimer.singleShot(0, work)


def run_until(stopped: Callable[[Callable[[], Any]], Any]) -> None:
    """Run an event loop inside the one that runs, until what ``stopped`` connects is called.

    Why
        napari asks for sample data in the window's thread and goes on when it has it; the window must live
        while it waits.
    Seen in
        Qt 6 (``QEventLoop``); napari 0.9.2 has no asynchronous sample data.

    Parameters
    ----------
    stopped
        Is given the function that ends the loop, and connects it to a signal.
    """
    from qtpy.QtCore import QEventLoop

    loop = QEventLoop()
    stopped(loop.quit)
    loop.exec()


def in_window_thread() -> bool:
    """Whether a window waits for this thread; without Qt there is none, and Qt is not loaded to find that out."""
    if "qtpy.QtCore" not in sys.modules or threading.current_thread() is not threading.main_thread():
        return False
    from qtpy.QtCore import QCoreApplication

    return QCoreApplication.instance() is not None


def switch_threads_often(*, on: bool) -> None:
    """Let Python change between threads every half millisecond while jobs run, or as usual again.

    Why
        Drawing takes hundreds of calls that each release the global lock and wait for it again, up to 5 ms each
        while a thread computes.
    Seen in
        CPython 3.11 (``sys.setswitchinterval``), which is one setting for the whole process: napari and other
        plugins have it too while a job runs.
    Without it
        Panning stutters while a job runs in a thread.
    """
    sys.setswitchinterval(SWITCH_INTERVAL if on else _DEFAULT_INTERVAL)
