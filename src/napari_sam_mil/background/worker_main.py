"""The worker process: reads calls from standard input and writes replies to standard output.

:mod:`napari_sam_mil.background.worker` starts it. It ends when napari ends, even if napari crashes.
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

#: Seconds between two progress reports of a stage.
REPORT_EVERY = 0.02
#: POSIX niceness: on a busy machine, the window takes precedence.
NICENESS = 5
#: Seconds that a call may continue after napari has ended.
GRACE = 5.0
#: Sent instead of a call to stop the running one.
STOP = None
#: Command-line option: before the first call, import the modules that every analysis needs. It takes some seconds.
PRELOAD = "--load"
_PRELOADED = (
    "sam_mil_engine.features.efficientnet_lite0",
    "sam_mil_engine.prediction.slide",
    "sam_mil_engine.process.runner",
    "skimage.segmentation",
    "sklearn.cluster",
)


class _Server:
    """Answers calls. A call is a pickled function with its arguments, the environment, and the module path."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO):
        self._requests, self._replies = requests, replies
        self._calls: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self._stop = threading.Event()
        self._last: tuple[str, float] = ("", 0.0)

    def serve(self) -> None:
        """Answer calls until standard input is closed."""
        threading.Thread(target=self._receive, daemon=True).start()
        if PRELOAD in sys.argv:
            for name in _PRELOADED:
                with suppress(ImportError):  # the call that needs the module reports the error
                    import_module(name)
        while (call := self._calls.get()) is not None:
            self._answer(*call)

    def _receive(self) -> None:
        while True:
            try:
                call = pickle.load(self._requests)
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
            function, args, kwargs = pickle.loads(call)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", UserWarning)
                result = function(*args, progress=self._report, **kwargs)
            for one in caught:
                self._send("warned", str(one.message), one.category)
            self._send("returned", result)
        except BaseException as error:  # noqa: BLE001  (it is raised again by the caller)
            self._send("raised", _portable(error), traceback.format_exc())

    def _report(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise Cancelled("the user cancelled the job")
        stage, sent = self._last
        at_an_end = progress.stage != stage or (progress.total > 0 and progress.done >= progress.total)
        if at_an_end or time.monotonic() - sent >= REPORT_EVERY:
            self._last = (progress.stage, time.monotonic())
            self._send("progress", progress)

    def _send(self, *message: Any) -> None:
        # pickled first: an object that cannot be pickled must not leave half a message in the pipe
        self._replies.write(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
        self._replies.flush()


def _portable(error: BaseException) -> BaseException:
    """Return the error if it can be pickled, else a RuntimeError with the same message."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  (a class may break its pickle in any way)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def main() -> None:
    """Reserve standard output for replies. What libraries print goes to standard error."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    # napari handles Ctrl-C and stops this process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    _Server(requests, replies).serve()


if __name__ == "__main__":
    main()
