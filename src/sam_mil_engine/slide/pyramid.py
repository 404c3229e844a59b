"""The viewer's pyramid: a list of lazy RGB arrays, each half (or less) of the one before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import EllipsisType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..devices import cpu_count
from ..errors import SlideError
from ..settings import PYRAMID_CACHE_BYTES
from .facts import WHITE, UInt8Image
from .slide import Slide
from .tile_cache import TileCache

#: Side of the tiles that are decoded and kept.
TILE = 512
#: Longest side of the coarsest level: napari reads it whole, on its main thread.
COARSEST_SIDE = 1024
#: Levels further apart than this get one between them.
LARGEST_GAP = 3.0
#: Colour of a tile that cannot be decoded: magenta, which neither tissue nor glass has.
BAD_TILE = (255, 0, 255)
#: Threads that decode tiles of one slide.
THREADS = max(2, min(8, cpu_count()))


class LevelArray:
    """One level as a lazy array (height, width, 3) of uint8, as far as viewers use arrays.

    Attributes
    ----------
    shape, dtype, ndim, size, nbytes
        As of a numpy array.
    chunks
        Sizes of the tiles along each axis, as of a dask array.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(
        self,
        size: tuple[int, int],
        *,
        number: int,
        make: Callable[[int, int, int, int], UInt8Image],
        shared: _Shared,
    ):
        width, height = size
        self.shape = (height, width, 3)
        self._number = number
        self._make = make
        self._shared = shared

    def __repr__(self) -> str:
        return f"<LevelArray {self._number}: {self.shape[1]} x {self.shape[0]} px>"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Number of values."""
        return self.shape[0] * self.shape[1] * 3

    @property
    def nbytes(self) -> int:
        """Bytes that the whole level would take."""
        return self.size

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """Sizes of the tiles along each axis."""
        height, width, channels = self.shape
        return (_chunk_sizes(height), _chunk_sizes(width), (channels,))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("a level that is read from a file cannot be had without a copy")
        return self[...].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:
        rows, columns, channels = _expand(key)
        top, bottom, local_rows = _window(rows, self.shape[0])
        left, right, local_columns = _window(columns, self.shape[1])
        pixels = self.read(left, top, right, bottom)
        # One axis after the other, so that lists of numbers select a grid as napari means it.
        return pixels[local_rows, :, :][..., local_columns, :][..., channels]

    def read(self, left: int, top: int, right: int, bottom: int) -> UInt8Image:
        """Read whole tiles through the cache and return the pixels inside the bounds: (h, w, 3)."""
        image = np.full((max(0, bottom - top), max(0, right - left), 3), WHITE, dtype=np.uint8)
        if image.size == 0:
            return image
        places = [
            (column, row)
            for row in range(top // TILE, -(-bottom // TILE))
            for column in range(left // TILE, -(-right // TILE))
        ]
        for (column, row), tile in zip(places, self._tiles(places), strict=True):
            x, y = column * TILE - left, row * TILE - top
            target = image[max(0, y) : y + TILE, max(0, x) : x + TILE]
            source = tile[max(0, -y) :, max(0, -x) :]
            target[...] = source[: target.shape[0], : target.shape[1]]
        return image

    def _tiles(self, places: list[tuple[int, int]]) -> list[UInt8Image]:
        return self._shared.map(self._tile, places)

    def _tile(self, place: tuple[int, int]) -> UInt8Image:
        key = (self._number, *place)
        tile = self._shared.cache.get(key)
        if tile is None:
            left, top = place[0] * TILE, place[1] * TILE
            tile = self._make(left, top, min(left + TILE, self.shape[1]), min(top + TILE, self.shape[0]))
            self._shared.cache.put(key, tile)
        return tile


class _Shared:
    """What the levels of one pyramid share: the cache and the threads."""

    def __init__(self, cache_bytes: int):
        self.cache = TileCache(cache_bytes)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="slide-tiles")
        self._inside = threading.local()

    def map(self, make: Callable[[tuple[int, int]], UInt8Image], places: list[tuple[int, int]]) -> list[UInt8Image]:
        """Make all tiles, in several threads; a tile made from finer ones does not wait for the pool again."""
        if len(places) == 1 or getattr(self._inside, "pool", False):
            return [make(place) for place in places]
        return list(self._pool.map(lambda place: self._make_inside(make, place), places))

    def _make_inside(self, make: Callable[[tuple[int, int]], UInt8Image], place: tuple[int, int]) -> UInt8Image:
        self._inside.pool = True
        try:
            return make(place)
        finally:
            self._inside.pool = False


def open_pyramid(
    slide: Slide,
    *,
    cache_bytes: int = PYRAMID_CACHE_BYTES,
    on_bad_tile: Callable[[SlideError], None] | None = None,
) -> list[LevelArray]:
    """Return the levels of a slide, finest first, for a viewer.

    Where the file has no level within a factor of three, and until the longest side is at most 1024 pixels, levels
    of half the size are made from the next finer one by area averaging, through one cache.

    Parameters
    ----------
    slide
        Stays open as long as the levels are used.
    cache_bytes
        Bytes of decoded tiles that are kept for all levels together.
    on_bad_tile
        Is told of every tile that cannot be decoded (from any thread, each tile once as long as it is cached); the
        tile is then painted magenta, so that the rest of the slide can be seen. Without it, reading raises.
    """
    shared = _Shared(cache_bytes)
    levels: list[LevelArray] = []

    def add(size: tuple[int, int], make: Callable[[int, int, int, int], UInt8Image]) -> None:
        levels.append(LevelArray(size, number=len(levels), make=make, shared=shared))

    for number, size in enumerate(slide.info.level_sizes):
        if levels and _longest(levels[-1]) <= COARSEST_SIDE:
            break
        while levels and levels[-1].shape[1] / size[0] > LARGEST_GAP:
            add(*_half(levels[-1]))
        add(size, _file_level(slide, number, on_bad_tile))
    while _longest(levels[-1]) > COARSEST_SIDE:
        add(*_half(levels[-1]))
    return levels


def _longest(level: LevelArray) -> int:
    return max(level.shape[:2])


def _file_level(
    slide: Slide, number: int, on_bad_tile: Callable[[SlideError], None] | None
) -> Callable[[int, int, int, int], UInt8Image]:
    def make(left: int, top: int, right: int, bottom: int) -> UInt8Image:
        try:
            return slide.read_level(number, (left, top), (right - left, bottom - top))
        except SlideError as error:
            if on_bad_tile is None or slide.closed:
                raise
            on_bad_tile(error)
            return np.full((bottom - top, right - left, 3), BAD_TILE, dtype=np.uint8)

    return make


def _half(finer: LevelArray) -> tuple[tuple[int, int], Callable[[int, int, int, int], UInt8Image]]:
    def make(left: int, top: int, right: int, bottom: int) -> UInt8Image:
        height, width = finer.shape[:2]
        pixels = finer.read(2 * left, 2 * top, min(2 * right, width), min(2 * bottom, height))
        # An odd last row or column counts twice, so that every pixel is the mean of four.
        missing = (2 * (bottom - top) - pixels.shape[0], 2 * (right - left) - pixels.shape[1])
        pixels = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        size = (right - left, bottom - top)
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    return (-(-finer.shape[1] // 2), -(-finer.shape[0] // 2)), make


def _chunk_sizes(length: int) -> tuple[int, ...]:
    whole, rest = divmod(length, TILE)
    return (TILE,) * whole + ((rest,) if rest else ())


def _expand(key: Any) -> tuple[Any, Any, Any]:
    """Fill a key up to three axes; an ellipsis stands for all that are not named."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(isinstance(part, EllipsisType) for part in parts):
        place = next(number for number, part in enumerate(parts) if isinstance(part, EllipsisType))
        filler = (slice(None),) * (3 - (len(parts) - 1))
        parts = parts[:place] + filler + parts[place + 1 :]
    if len(parts) > 3:
        raise IndexError(f"too many indices: the array has 3 axes, {len(parts)} were given")
    rows, columns, channels = parts + (slice(None),) * (3 - len(parts))
    return rows, columns, channels


def _window(index: Any, length: int) -> tuple[int, int, Any]:
    """Bounds of what an index of one axis selects, and the index inside these bounds."""
    if isinstance(index, slice):
        numbers = range(*index.indices(length))
        if len(numbers) == 0:
            return 0, 0, slice(None)
        low, high = min(numbers[0], numbers[-1]), max(numbers[0], numbers[-1])
        stop = numbers[-1] - low + (1 if numbers.step > 0 else -1)
        return low, high + 1, slice(numbers[0] - low, stop if stop >= 0 else None, numbers.step)
    chosen = np.asarray(index)
    if chosen.dtype == bool:
        chosen = np.flatnonzero(chosen)
    if chosen.size and not (-length <= chosen.min() and chosen.max() < length):
        raise IndexError(f"index {index} is out of bounds for an axis of {length}")
    chosen = np.where(chosen < 0, chosen + length, chosen)
    if chosen.size == 0:
        return 0, 0, chosen.astype(np.intp)
    low = int(chosen.min())
    local = chosen - low
    return low, int(chosen.max()) + 1, int(local) if local.ndim == 0 else local
