"""Patches of a slide in batches: threads read and decode ahead of whoever takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..slide.tile_grid import TileGrid
from ..slide.tiling import read_patch

if TYPE_CHECKING:
    from ..slide.slide import Slide

UInt8Batch = npt.NDArray[np.uint8]

#: Batches that are read, or being read, while the one before them is in use.
BATCHES_AHEAD = 2


class PatchStream:
    """The patches of a slide from one on, in their order, in batches that end where a block ends.

    Reading begins at once, not when the first batch is taken: a stream that is made early has its first batches in
    memory when they are asked for. At most ``BATCHES_AHEAD`` batches are held besides the one handed out, whatever
    the size of the slide. An iterator of (number of the first patch, batch (B, S, S, 3) uint8 RGB); a tile that
    cannot be read raises :class:`~sam_mil_engine.errors.SlideError` when its batch is asked for.

    Parameters
    ----------
    slide, grid
        The slide and its patches.
    start
        First patch.
    batch, block
        Patches in a batch and in a block.
    threads
        Threads that read.
    """

    def __init__(self, slide: Slide, grid: TileGrid, *, start: int = 0, batch: int, block: int, threads: int):
        self.grid, self.start, self.block = grid, start, block
        self._slide = slide
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tiles")
        self._plan = _batches(start, len(grid), batch, block)
        self._waiting: deque[tuple[int, UInt8Batch, list[Future[None]]]] = deque()
        self._read_on()

    def __iter__(self) -> Iterator[tuple[int, UInt8Batch]]:
        return self

    def __next__(self) -> tuple[int, UInt8Batch]:
        if not self._waiting:
            raise StopIteration
        first, batch, tiles = self._waiting.popleft()
        self._read_on()
        for tile in tiles:
            tile.result()
        return first, batch

    def _read_on(self) -> None:
        while len(self._waiting) < BATCHES_AHEAD and (numbers := next(self._plan, None)):
            side = self.grid.output_size
            batch = np.empty((len(numbers), side, side, 3), dtype=np.uint8)
            tiles = [self._pool.submit(self._read, batch, row, number) for row, number in enumerate(numbers)]
            self._waiting.append((numbers[0], batch, tiles))

    def _read(self, batch: UInt8Batch, row: int, number: int) -> None:
        batch[row] = read_patch(self._slide, self.grid, number)

    def close(self) -> None:
        """End the reading threads; closing twice is allowed."""
        self._waiting.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _batches(start: int, total: int, batch: int, block: int) -> Iterator[range]:
    for first in range(start, total, block):
        last = min(first + block, total)
        for row in range(first, last, batch):
            yield range(row, min(row + batch, last))
