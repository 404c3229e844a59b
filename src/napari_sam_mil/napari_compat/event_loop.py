"""Qt's event loop during long work, and the priority of threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

#: Seconds after which Python switches threads while a job runs. Python's default is 5 ms.
SWITCH_INTERVAL = 0.0005
_DEFAULT_INTERVAL = sys.getswitchinterval()


def process_events() -> None:
    """Process pending events of the window during long work in its own thread.

    Why
        Adding a layer takes napari a tenth of a second in the window's thread, and a result has five layers.
    Seen in
        Qt 6 (``QCoreApplication.processEvents``). The state of the window may change during the call: a slide
        may be closed, or a button pressed.
    Without it
        The same layers appear after one longer pause.
    """
    if in_window_thread():
        from qtpy.QtCore import QCoreApplication

        QCoreApplication.processEvents()


def call_later(work: Callable[[], object], *, after_ms: int = 0) -> None:
    """Call a function after the current event. Without a window, call it at once.

    A method of a widget that is deleted by then is not called.

    Why
        napari's layer list must not be changed by the handler of its own events.
    Seen in
        Qt 6 (``QTimer.singleShot``), napari 0.9.2. PyQt6 forgets the methods of deleted widgets, PySide6 does not.
    Without it
        The function is called at once.
    """
    if not in_window_thread():
        work()
        return
    from qtpy.compat import isalive
    from qtpy.QtCore import QObject, QTimer

    owner = getattr(work.func if isinstance(work, partial) else work, "__self__", None)
    if isinstance(owner, QObject):
        QTimer.singleShot(after_ms, lambda: isalive(owner) and work())
    else:
        QTimer.singleShot(after_ms, work)


def run_until(stopped: Callable[[Callable[[], Any]], Any]) -> None:
    """Run a nested event loop until the function that ``stopped`` connects is called.

    Why
        napari requests sample data in the window's thread and blocks until it has them. The window must stay
        responsive in the meantime.
    Seen in
        Qt 6 (``QEventLoop``); napari 0.9.2 has no asynchronous sample data.

    Parameters
    ----------
    stopped
        Receives the function that ends the loop, and connects it to a signal.
    """
    from qtpy.QtCore import QEventLoop

    loop = QEventLoop()
    stopped(loop.quit)
    loop.exec()


def in_window_thread() -> bool:
    """Whether this is the thread of a window. This does not import Qt: without Qt, there is no window."""
    if "qtpy.QtCore" not in sys.modules or threading.current_thread() is not threading.main_thread():
        return False
    from qtpy.QtCore import QCoreApplication

    return QCoreApplication.instance() is not None


def switch_threads_often(*, on: bool) -> None:
    """Let Python switch threads every half millisecond while jobs run, or restore its default.

    Why
        Drawing makes hundreds of calls that each release the global lock and wait for it again, for up to 5 ms
        while another thread computes.
    Seen in
        CPython 3.11 (``sys.setswitchinterval``). The setting applies to the whole process, including napari and
        other plugins.
    Without it
        Panning stutters while a job runs in a thread.
    """
    sys.setswitchinterval(SWITCH_INTERVAL if on else _DEFAULT_INTERVAL)
