"""The process beside napari: takes one call after the other from standard input, and answers on standard output.

Started by :mod:`napari_sam_mil.background.worker`. It ends when napari does, however that ends.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from contextlib import suppress
from importlib import import_module
from queue import SimpleQueue
from typing import Any, BinaryIO

from sam_mil_engine.errors import Cancelled
from sam_mil_engine.progress import Progress

#: Seconds between two reports of one stage that are sent.
REPORT_EVERY = 0.02
#: How much the work gives way to the window on a busy machine (POSIX niceness).
NICENESS = 5
#: Seconds that a call may go on after napari has gone.
GRACE = 5.0
#: What is sent in place of a call to stop the one that runs.
STOP = None
#: Option of the command line: load before the first call what every analysis takes, which lasts some seconds.
LOAD = "--load"
_LOADED_AHEAD = (
    "sam_mil_engine.features.efficientnet_lite0",
    "sam_mil_engine.prediction.slide",
    "sam_mil_engine.process.runner",
    "skimage.segmentation",
    "sklearn.cluster",
)


class _Server:
    """Answers calls: pickled function, positional and keyword arguments; environment; path of modules."""

    def __init__(self, asked: BinaryIO, told: BinaryIO):
        self._asked, self._told = asked, told
        self._calls: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self._stop = threading.Event()
        self._last: tuple[str, float] = ("", 0.0)

    def serve(self) -> None:
        """Answer calls until there is nobody to ask."""
        threading.Thread(target=self._listen, daemon=True).start()
        if LOAD in sys.argv:
            for name in _LOADED_AHEAD:
                with suppress(ImportError):  # the call that needs it says so
                    import_module(name)
        while (call := self._calls.get()) is not None:
            self._answer(*call)

    def _listen(self) -> None:
        while True:
            try:
                call = pickle.load(self._asked)
            except (EOFError, OSError):
                break
            if call is STOP:
                self._stop.set()
            else:
                self._stop.clear()
                self._calls.put(call)
        self._stop.set()
        self._calls.put(None)
        time.sleep(GRACE)
        os._exit(0)

    def _answer(self, call: bytes, environment: dict[str, str], path: list[str]) -> None:
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = path
        self._last = ("", 0.0)
        try:
            function, args, words = pickle.loads(call)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always", UserWarning)
                result = function(*args, progress=self._report, **words)
            for one in said:
                self._tell("warned", str(one.message), one.category)
            self._tell("returned", result)
        except BaseException as error:  # noqa: BLE001  (it is raised again by the caller)
            self._tell("raised", _portable(error), traceback.format_exc())

    def _report(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise Cancelled("the user asked to stop")
        stage, sent = self._last
        at_an_end = progress.stage != stage or (progress.total > 0 and progress.done >= progress.total)
        if at_an_end or time.monotonic() - sent >= REPORT_EVERY:
            self._last = (progress.stage, time.monotonic())
            self._tell("progress", progress)

    def _tell(self, *message: Any) -> None:
        # made whole before it is sent: what cannot be pickled must not leave half a message
        self._told.write(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
        self._told.flush()


def _portable(error: BaseException) -> BaseException:
    """Return the error if it comes through a pickle whole, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  (a class may break its pickle in any way)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def main() -> None:
    """Keep standard output for answers: what libraries print goes where errors go."""
    told = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    # Ctrl-C in the terminal is for napari, which tells this process what to do
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    _Server(asked, told).serve()


if __name__ == "__main__":
    main()
