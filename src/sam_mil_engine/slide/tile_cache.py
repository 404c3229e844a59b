"""A least-recently-used cache of decoded tiles with a budget of bytes, safe for threads."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable

from cachetools import LRUCache

from .facts import UInt8Image


class TileCache:
    """Keeps the most recently used tiles.

    Parameters
    ----------
    capacity_bytes
        Largest number of bytes of pixels; a larger tile is not cached.
    """

    def __init__(self, capacity_bytes: int):
        self.capacity_bytes = capacity_bytes
        self._tiles: LRUCache[Hashable, UInt8Image] = LRUCache(capacity_bytes, getsizeof=lambda tile: tile.nbytes)
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> UInt8Image | None:
        """Return the tile, which is then the one used last, or None."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Iterable[Hashable]) -> dict[Hashable, UInt8Image]:
        """Return those of the tiles that are cached; they are then the ones used last."""
        with self._lock:
            return {key: tile for key in keys if (tile := self._tiles.get(key)) is not None}

    def put(self, key: Hashable, tile: UInt8Image) -> None:
        """Cache a tile, which becomes read-only, and drop the oldest ones beyond the budget."""
        if tile.nbytes > self.capacity_bytes:
            return
        tile.flags.writeable = False
        with self._lock:
            self._tiles[key] = tile
