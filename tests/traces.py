"""Which files of ours a run passes, in the order in which the first function of each is entered."""

from __future__ import annotations

import inspect
import re
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

SRC = Path(__file__).resolve().parents[1] / "src"
#: Names of the functions through which Qt gives an event to a widget, whatever else runs at that time.
_QT_EVENT = re.compile(r"event|eventFilter|\w+Event")


@dataclass(slots=True)
class Trace:
    """The functions that were entered; files are paths below ``src/``."""

    #: (file, function) in the order of first entry.
    functions: list[tuple[str, str]] = field(default_factory=list)
    #: File -> the files of the functions with which the calls began that lead there.
    roots: dict[str, set[str]] = field(default_factory=dict)

    def files_below(self, folder: str, *, begun_in: Collection[str] | None = None) -> list[str]:
        """Files of a folder, in the order of first entry; those alone that were reached from certain files."""
        return [
            file
            for file in dict.fromkeys(file for file, _ in self.functions)
            if file.startswith(folder) and (begun_in is None or not self.roots[file].isdisjoint(begun_in))
        ]


@cache
def _file_of(code: CodeType) -> str:
    path = Path(code.co_filename)
    return path.relative_to(SRC).as_posix() if path.is_relative_to(SRC) else ""


def _root(frame: FrameType) -> str | None:
    """File of the function of ours with which a call began; None while a module is imported."""
    root, caller, in_event = "", frame, False
    while caller is not None:
        if caller.f_code.co_filename.startswith("<frozen importlib"):
            return None
        if not in_event and (file := _file_of(caller.f_code)):
            root = file
            in_event = _QT_EVENT.fullmatch(caller.f_code.co_name) is not None
        caller = caller.f_back
    return root


@contextmanager
def traced() -> Iterator[Trace]:
    """Record the calls in this thread, and in every thread that starts within.

    What runs because a file is imported does not count.
    """
    trace = Trace()
    entered: set[tuple[CodeType, CodeType | None]] = set()
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_flags & inspect.CO_OPTIMIZED or not _file_of(code):
            return
        pair = (code, frame.f_back.f_code if frame.f_back is not None else None)
        if pair in entered or (root := _root(frame)) is None:
            return
        entered.add(pair)
        trace.roots.setdefault(_file_of(code), set()).add(root)
        if code not in seen:
            seen.add(code)
            trace.functions.append((_file_of(code), code.co_qualname))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
