"""A least-recently-used cache of decoded tiles with a budget of bytes, safe for threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable

from .facts import UInt8Image


class TileCache:
    """Keeps the tiles that were used last.

    Parameters
    ----------
    capacity_bytes
        Bytes of pixels that are kept at most; a tile larger than that is not kept at all.
    """

    def __init__(self, capacity_bytes: int):
        self.capacity_bytes = capacity_bytes
        self._tiles: OrderedDict[Hashable, UInt8Image] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._tiles)

    @property
    def used_bytes(self) -> int:
        """Bytes of pixels that are kept now."""
        return self._bytes

    def get(self, key: Hashable) -> UInt8Image | None:
        """Return the tile, which is then the one used last, or None."""
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def get_many(self, keys: Iterable[Hashable]) -> dict[Hashable, UInt8Image]:
        """Return those of the tiles that are kept; they are then the ones used last."""
        with self._lock:
            found = {key: tile for key in keys if (tile := self._tiles.get(key)) is not None}
            for key in found:
                self._tiles.move_to_end(key)
            return found

    def put(self, key: Hashable, tile: UInt8Image) -> None:
        """Keep a tile, which becomes read-only, and drop the oldest ones beyond the budget."""
        if tile.nbytes > self.capacity_bytes:
            return
        tile.flags.writeable = False
        with self._lock:
            known = self._tiles.pop(key, None)
            self._bytes += tile.nbytes - (0 if known is None else known.nbytes)
            self._tiles[key] = tile
            while self._bytes > self.capacity_bytes:
                _, oldest = self._tiles.popitem(last=False)
                self._bytes -= oldest.nbytes
