"""Calls that other threads hand to the window's thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from typing import Any

from qtpy.QtCore import QCoreApplication, QObject, Qt, QThread, Signal, Slot
from superqt.utils import _ensure_thread

#: superqt's own function, for the threads of other plugins.
_superqt_run_in_thread: Any = getattr(_ensure_thread, "_run_in_thread", None)


def call_in_window(work: Callable[[], object]) -> None:
    """Call a function in the window's thread: at once if this is that thread or there is no window, else later."""
    app = QCoreApplication.instance()
    if app is None or app.thread() is QThread.currentThread():
        work()
    else:
        _caller().handed.emit(work)


def hand_over_calls() -> None:
    """Let napari's calls from other threads reach the window without a Qt object for each call.

    Why
        superqt makes an object for each call. The calling thread disconnects its signal while the window's thread
        deletes it, and with PySide6 one of the two uses freed memory. napari makes such a call whenever a layer was
        read in the background.
    Seen in
        superqt 0.9 (``superqt.utils._ensure_thread._run_in_thread``, behind ``ensure_main_thread``) with PySide6
        6.7 to 6.11. PyQt6 is not affected.
    Without it
        With PySide6, napari crashes or hangs after some time of panning and zooming in a slide.
    """
    if hasattr(_ensure_thread, "_run_in_thread"):
        if QCoreApplication.instance() is not None:
            _caller()  # two threads at once would make two of them
        _ensure_thread._run_in_thread = _run_in_thread


class _Caller(QObject):
    """Lives in the window's thread and calls there what any thread hands to it."""

    handed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.moveToThread(QCoreApplication.instance().thread())
        self.handed.connect(self._call, Qt.ConnectionType.QueuedConnection)

    @Slot(object)
    def _call(self, work: Callable[[], object]) -> None:
        work()


@cache
def _caller() -> _Caller:
    return _Caller()


def _run_in_thread(func: Callable[..., Any], thread: QThread, *options: Any) -> Any:
    """Stand in for superqt's function of this name, with its parameters."""
    app = QCoreApplication.instance()
    if app is None or thread is not app.thread() or thread is QThread.currentThread():
        return _superqt_run_in_thread(func, thread, *options)
    await_return, timeout_ms, args, kwargs = options
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(func(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
            raise

    _caller().handed.emit(work)
    return future.result(timeout=timeout_ms / 1000) if await_return else future
