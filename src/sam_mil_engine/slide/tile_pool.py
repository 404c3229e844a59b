"""Threads that make tiles, each tile once, and ahead of time where the view moves."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait

from ..devices import cpu_count
from .facts import UInt8Image
from .tile_cache import TileCache

#: Threads that decode tiles of one slide.
THREADS = max(2, min(8, cpu_count()))

Place = tuple[int, int]


class TilePool:
    """The cache and the threads that the levels of one pyramid share.

    Parameters
    ----------
    cache_bytes
        Bytes of decoded tiles to cache.

    Attributes
    ----------
    made
        Tiles that were made so far.
    """

    def __init__(self, cache_bytes: int):
        self.cache = TileCache(cache_bytes)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="slide-tiles")
        self._here = threading.local()
        self._in_work: dict[Hashable, threading.Event] = {}
        self._lock = threading.Lock()
        self._turn = 0
        self.made = 0

    def tile(self, key: Hashable, make: Callable[[], UInt8Image]) -> UInt8Image:
        """Return a tile from the cache, else make it; a tile that another thread makes is waited for."""
        while True:
            with self._lock:
                tile = self.cache.get(key)
                if tile is not None:
                    return tile
                others = self._in_work.get(key)
                if others is None:
                    mine = self._in_work[key] = threading.Event()
                    break
            # Levels wait for finer ones only, so that no two threads wait for each other.
            others.wait()
        try:
            tile = make()
            self.cache.put(key, tile)
            return tile
        finally:
            with self._lock:
                self.made += 1
                del self._in_work[key]
            mine.set()

    def count(self, tiles: int) -> None:
        """Count tiles that need not be made any more among those that were."""
        with self._lock:
            self.made += tiles

    def map(self, make: Callable[[Place], UInt8Image], places: list[Place]) -> list[UInt8Image]:
        """Make all tiles, in this thread and others; a tile made from finer ones does not wait for them again."""
        if getattr(self._here, "inside", False):
            return [make(place) for place in places]
        self._turn += 1
        waiting = deque(enumerate(places))
        made: dict[int, UInt8Image] = {}

        def work() -> None:
            while True:
                try:
                    number, place = waiting.popleft()
                except IndexError:
                    return
                made[number] = self._inside(make, place)

        # This thread works too: every time it wakes up it has to wait for Python's lock, which the window holds.
        others = [self._threads.submit(work) for _ in range(min(THREADS, len(places)) - 1)]
        try:
            work()
        finally:
            waiting.clear()
            wait([other for other in others if not other.cancel()])
        for other in others:
            if not other.cancelled():
                other.result()
        return [made[number] for number in range(len(places))]

    def make_ahead(self, make: Callable[[Place], UInt8Image], places: Iterable[Place]) -> None:
        """Make tiles that are not requested yet, until the next ones are requested."""
        turn = self._turn
        for place in places:
            self._threads.submit(self._ahead, make, place, turn)

    def _ahead(self, make: Callable[[Place], UInt8Image], place: Place, turn: int) -> None:
        # An error of a tile is raised when the tile is requested.
        if turn == self._turn:
            self._inside(make, place)

    def _inside(self, make: Callable[[Place], UInt8Image], place: Place) -> UInt8Image:
        self._here.inside = True
        try:
            return make(place)
        finally:
            self._here.inside = False
