"""Calls from other threads arrive in the window's thread, thousands of them, under either binding."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from by_hand import until
from qtpy.QtWidgets import QApplication
from superqt.utils import _ensure_thread, ensure_main_thread

from napari_sam_mil.napari_compat.window_thread import call_in_window, hand_over_calls
from napari_sam_mil.notices import tell

MANY_CALLS = """
import sys
from concurrent.futures import ThreadPoolExecutor

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QPushButton, QWidget
from superqt.utils import ensure_main_thread

from napari_sam_mil.napari_compat.window_thread import hand_over_calls

app, arrived = QApplication([]), []
hand_over_calls()
sys.setswitchinterval(0.0005)
called = ensure_main_thread(arrived.append)
window = QWidget()
window.show()


def call(start):
    for number in range(start, start + 200):
        called(number)


with ThreadPoolExecutor(1) as pool:
    for start in range(0, 10000, 200):
        calls = pool.submit(call, start)
        while not calls.done():
            app.processEvents()
            button = QPushButton(window)
            button.clicked.connect(lambda: None)
            button.setVisible(True)
            button.click()
            button.deleteLater()
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
while len(arrived) < 10000:
    app.processEvents()
assert arrived == list(range(10000))
"""


@pytest.fixture
def handed_over(monkeypatch, qapp):
    """napari's calls are handed over, and superqt's object for each call is gone."""
    monkeypatch.setattr(_ensure_thread, "_run_in_thread", _ensure_thread._run_in_thread)
    hand_over_calls()
    monkeypatch.delattr(_ensure_thread, "CallCallable")


def in_thread(function):
    """Call a function in another thread while the window lives, and return what it returns."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(function)
        until(future.done, "the other thread")
        return future.result()


def test_many_calls_from_a_thread_leave_the_window_alive():
    made = subprocess.run([sys.executable, "-c", MANY_CALLS], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-2000:]


def test_a_call_from_a_thread_is_made_in_the_window_s_thread(handed_over):
    threads = []
    called = ensure_main_thread(lambda: threads.append(threading.current_thread()))
    future = in_thread(called)
    until(future.done, "the call")
    assert threads == [threading.main_thread()]


def test_a_thread_may_wait_for_the_answer(handed_over):
    answered = ensure_main_thread(lambda number: number + 1, await_return=True, timeout=300_000)
    assert in_thread(lambda: answered(41)) == 42
    assert answered(1) == 2, "in the window's own thread"


def test_an_error_reaches_the_thread_that_waits_and_the_window(qtbot, handed_over):
    def fail():
        raise ValueError("no such layer")

    failing = ensure_main_thread(fail, await_return=True, timeout=300_000)
    with qtbot.capture_exceptions() as caught, pytest.raises(ValueError, match="no such layer"):
        in_thread(failing)
    assert [kind for kind, _, _ in caught] == [ValueError]


def test_a_function_is_called_at_once_in_the_window_s_thread_and_later_from_another(qapp):
    calls = []
    call_in_window(lambda: calls.append("at once"))
    assert calls == ["at once"]
    in_thread(lambda: call_in_window(lambda: calls.append(threading.current_thread())))
    until(lambda: len(calls) == 2, "the call")
    assert calls[1] is threading.main_thread()


def test_without_superqt_s_function_napari_calls_as_before(monkeypatch):
    monkeypatch.delattr(_ensure_thread, "_run_in_thread")
    hand_over_calls()
    assert not hasattr(_ensure_thread, "_run_in_thread")


def test_a_message_from_a_thread_is_shown(make_napari_viewer):
    make_napari_viewer(show=True)

    def shown():
        return [one for one in QApplication.allWidgets() if getattr(one, "message", None) and one.isVisible()]

    in_thread(lambda: tell("The slide was moved.", "warning"))
    until(lambda: any("The slide was moved" in str(one.message.text()) for one in shown()), "the notification")
    for one in shown():
        one.close()
