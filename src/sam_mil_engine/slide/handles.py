"""A pool of file handles: at most one for every thread that reads at this moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Handle = TypeVar("Handle")


class HandlePool(Generic[Handle]):
    """Lends handles to threads, opens new ones when all are lent, and drops those that have failed.

    Parameters
    ----------
    open_one
        Opens a handle.
    close_one
        Closes a handle.
    """

    def __init__(self, open_one: Callable[[], Handle], close_one: Callable[[Handle], None]):
        self._open_one = open_one
        self._close_one = close_one
        self._idle: list[Handle] = []
        self._lock = threading.Lock()

    def give(self, handle: Handle) -> None:
        """Put a handle that works into the pool."""
        with self._lock:
            self._idle.append(handle)

    @contextmanager
    def borrow(self) -> Iterator[Handle]:
        """Lend a handle; one that raised is closed instead of used again."""
        with self._lock:
            handle = self._idle.pop() if self._idle else None
        if handle is None:
            handle = self._open_one()
        try:
            yield handle
        except BaseException:
            self._close_one(handle)
            raise
        self.give(handle)

    def close(self) -> None:
        """Close all idle handles. Nobody may be reading."""
        with self._lock:
            idle, self._idle = self._idle, []
        for handle in idle:
            self._close_one(handle)
