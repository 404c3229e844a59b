"""The pixels that were read last, for images of different sizes that are made of the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .facts import UInt8Image

#: Reads a rectangle of a level: its left and top, and its width and height.
ReadWindow = Callable[[tuple[int, int], tuple[int, int]], UInt8Image]


class LastRead:
    """Keeps the last rectangle of a slide that was read, where that is asked for."""

    def __init__(self) -> None:
        self._keep = False
        self._held: tuple[object, UInt8Image] | None = None

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep the last rectangle in the block; its memory is given back at the end."""
        self._keep = True
        try:
            yield
        finally:
            self._keep, self._held = False, None

    def reading(
        self, read_level: Callable[[int, tuple[int, int], tuple[int, int]], UInt8Image], level: int
    ) -> ReadWindow:
        """Return what reads rectangles of a level, and does not read the last one again while it is kept."""

        def read(location: tuple[int, int], size: tuple[int, int]) -> UInt8Image:
            if not self._keep:
                return read_level(level, location, size)
            wanted, held = (level, location, size), self._held
            if held is None or held[0] != wanted:
                self._held = None  # before the next one takes as much memory
                held = self._held = (wanted, read_level(level, location, size))
            return held[1]

        return read
