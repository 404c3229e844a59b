"""One level of a slide as a lazy array of tiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import numpy.typing as npt

from .facts import UInt8Image
from .indexing import expand_key, window_of
from .tile_pool import Place, TilePool

#: Seconds between two reports while a whole level is fetched.
FETCH_REPORTS = 0.1

#: Rows of pixels that are copied at once: numpy counts to 500.
_ROWS_AT_ONCE = 400

#: Columns and rows of tiles: left, top, right, bottom; right and bottom are not included.
Tiles = tuple[int, int, int, int]
#: Left, top, right, bottom in pixels of a level; right and bottom are not included.
Bounds = tuple[int, int, int, int]


class LevelArray:
    """One level as a lazy array (height, width, 3) of uint8, as far as viewers need arrays.

    Parameters
    ----------
    size
        Width and height of the level in pixels.
    tile
        Width and height of the tiles that are decoded and cached.
    number
        Number of the level in its pyramid.
    make
        Makes the pixels of a tile: left, top, right, bottom -> (h, w, 3).
    pool
        Cache and threads, shared by all levels.
    on_view
        Called for every view: number of the level, and the bounds in its pixels.
    finer
        The level that this one is made from, or None where the file has it.

    Attributes
    ----------
    shape, dtype, ndim, size, nbytes
        As of a numpy array.
    chunks
        Sizes of the tiles along each axis, as of a dask array.
    tiles_to_make
        Tiles that have to be made for the whole level, those of finer levels that it is made from among them.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(
        self,
        size: tuple[int, int],
        *,
        tile: tuple[int, int],
        number: int,
        make: Callable[[int, int, int, int], UInt8Image],
        pool: TilePool,
        on_view: Callable[[int, Bounds], None],
        finer: LevelArray | None = None,
    ):
        width, height = size
        self.shape = (height, width, 3)
        self.tile_size = tile
        self._number = number
        self._make = make
        self._pool = pool
        self._on_look = on_view
        columns, rows = -(-width // tile[0]), -(-height // tile[1])
        self.tiles_to_make: int = columns * rows + (0 if finer is None else finer.tiles_to_make)

    def __deepcopy__(self, memo: dict[int, Any]) -> LevelArray:
        """Return the level itself: it is read only, and viewers copy what they show a second time."""
        return self

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
        return (_chunk_sizes(height, self.tile_size[1]), _chunk_sizes(width, self.tile_size[0]), (channels,))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("a level that is read from a file needs a copy")
        return self[...].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:
        rows, columns, channels = expand_key(key)
        top, bottom, local_rows = window_of(rows, self.shape[0])
        left, right, local_columns = window_of(columns, self.shape[1])
        pixels = self.read(left, top, right, bottom)
        self._on_look(self._number, (left, top, right, bottom))
        # One axis after the other, so that lists of numbers select a grid as napari means it.
        return pixels[local_rows, :, :][..., local_columns, :][..., channels]

    def fetch(self, report: Callable[[int], None]) -> None:
        """Make all tiles of the level, so that they are in the cache.

        Parameters
        ----------
        report
            Called several times a second with the number of tiles made, of :attr:`tiles_to_make`. What it raises
            leaves this method; the tiles are then made on until the slide is closed.

        Raises
        ------
        SlideError
            If a tile cannot be made.
        """
        before = self._pool.made
        thread = ThreadPoolExecutor(1, thread_name_prefix="slide-level")
        reading = thread.submit(self.read, 0, 0, self.shape[1], self.shape[0])
        thread.shutdown(wait=False)
        while wait([reading], timeout=FETCH_REPORTS).not_done:
            report(self._pool.made - before)
        reading.result()

    def make_ahead(self, tiles: Tiles, *, but: Tiles = (0, 0, 0, 0)) -> None:
        """Make tiles that are not in the cache, the middle ones first, until others are requested.

        What lies outside the level, or in ``but``, is left out.
        """
        _, _, columns, rows = self.tiles_of(0, 0, self.shape[1], self.shape[0])
        left, top, right, bottom = tiles
        middle = ((left + right - 1) / 2, (top + bottom - 1) / 2)
        inside = (max(0, left), max(0, top), min(columns, right), min(rows, bottom))
        places = sorted(set(_places(inside)) - set(_places(but)), key=lambda place: math.dist(place, middle))
        known = self._known(places)
        self._pool.make_ahead(self._tile, [place for place in places if place not in known])

    def has(self, left: int, top: int, right: int, bottom: int) -> bool:
        """Whether all tiles inside the bounds are in the cache."""
        places = _places(self.tiles_of(left, top, right, bottom))
        return len(self._known(places)) == len(places)

    def pass_over(self, left: int, top: int, right: int, bottom: int) -> None:
        """Count the tiles inside the bounds among those that were made: what they were needed for did without."""
        self._pool.count(len(_places(self.tiles_of(left, top, right, bottom))))

    def read(self, left: int, top: int, right: int, bottom: int) -> UInt8Image:
        """Read whole tiles through the cache and return the pixels inside the bounds: (h, w, 3)."""
        image = np.empty((max(0, bottom - top), max(0, right - left), 3), dtype=np.uint8)
        if image.size == 0:
            return image
        width, height = self.tile_size
        for (column, row), tile in self._tiles(_places(self.tiles_of(left, top, right, bottom))).items():
            _paste(image, tile, column * width - left, row * height - top)
        return image

    def _tiles(self, places: list[Place]) -> dict[Place, UInt8Image]:
        """Take tiles from the cache, and make the others."""
        tiles = self._known(places)
        missing = [place for place in places if place not in tiles]
        return tiles | dict(zip(missing, self._pool.map(self._tile, missing), strict=True)) if missing else tiles

    def _known(self, places: list[Place]) -> dict[Place, UInt8Image]:
        """Return the tiles that are in the cache."""
        known = self._pool.cache.get_many((self._number, *place) for place in places)
        return {place: known[self._number, *place] for place in places if (self._number, *place) in known}

    def tiles_of(self, left: int, top: int, right: int, bottom: int) -> Tiles:
        """Return the tiles in which bounds in pixels lie."""
        width, height = self.tile_size
        return left // width, top // height, -(-right // width), -(-bottom // height)

    def _tile(self, place: Place) -> UInt8Image:
        (width, height), (column, row) = self.tile_size, place
        left, top = column * width, row * height
        bounds = (left, top, min(left + width, self.shape[1]), min(top + height, self.shape[0]))
        return self._pool.tile((self._number, column, row), lambda: np.ascontiguousarray(self._make(*bounds)))


def _places(tiles: Tiles) -> list[Place]:
    left, top, right, bottom = tiles
    return [(column, row) for row in range(top, bottom) for column in range(left, right)]


def _paste(image: UInt8Image, tile: UInt8Image, x: int, y: int) -> None:
    """Copy a tile into an image, its top left corner at (x, y); what lies outside the image is left out.

    A row of pixels is copied as one item. numpy gives Python's lock away for copies of 500 items and more, and a
    window that is being painted may take it for the time of an image: for every tile that is pasted.
    """
    left, top = max(0, -x), max(0, -y)
    width, height = min(tile.shape[1], image.shape[1] - x), min(tile.shape[0], image.shape[0] - y)
    row = np.dtype((np.void, 3 * (width - left)))
    for first in range(top, height, _ROWS_AT_ONCE):
        count = min(_ROWS_AT_ONCE, height - first)
        places = [(image, x + left, y + first), (tile, left, first)]
        target, source = (
            np.ndarray((count,), row, array, a * 3 + b * array.strides[0], (array.strides[0],))
            for array, a, b in places
        )
        target[...] = source


def _chunk_sizes(length: int, tile: int) -> tuple[int, ...]:
    whole, rest = divmod(length, tile)
    return (tile,) * whole + ((rest,) if rest else ())
