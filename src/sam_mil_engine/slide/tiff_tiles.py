"""JPEG tiles of a TIFF slide, decoded where they lie: the same pixels as OpenSlide's, several times as fast."""

from __future__ import annotations

import os
import struct
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from .facts import UInt8Image
from .handles import HandlePool
from .tiff_header import DAMAGE, keep_tifffile_quiet
from .tile_cache import TileCache

if TYPE_CHECKING:
    import tifffile

_JPEG = 7
#: TIFF's photometric interpretation, and what Adobe's marker calls the same.
_TRANSFORM = {2: 0, 6: 1}
_START, _END = b"\xff\xd8", b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class _Level:
    """One directory of the file: where its tiles lie, and the head (tables, colours) that each of them lacks.

    ``columns`` of tiles lie next to each other; they are decoded at one ``shrink``-th of the size that is stored.
    """

    size: tuple[int, int]
    tile: tuple[int, int]
    columns: int
    offsets: Sequence[int]
    lengths: Sequence[int]
    head: bytes
    shrink: int = 1

    def half(self) -> _Level | None:
        """Return the directory seen at half its size, without an odd last row or column; None for odd tiles."""
        if any(side % 2 for side in self.tile):
            return None
        (width, height), (tile_width, tile_height) = self.size, self.tile
        return replace(self, size=(width // 2, height // 2), tile=(tile_width // 2, tile_height // 2), shrink=2)


class TiffTiles:
    """The levels of a slide whose tiles are JPEG. Safe to use from several threads.

    OpenSlide turns every tile into ARGB and draws it, and Python turns that into RGB again; here a tile is decoded
    once, and what lies in the rectangle is copied. Whatever else is asked for is left to OpenSlide, and so is every
    tile that libjpeg finds the least fault with: OpenSlide decides there.

    Parameters
    ----------
    path
        The file.
    levels
        None for a level that is not stored as JPEG tiles.
    cache_bytes
        Of pixels of tiles that were read in part; the rest of such a tile is often asked for next.
    """

    def __init__(self, path: Path, levels: tuple[_Level | None, ...], *, cache_bytes: int):
        self._levels = levels
        self._halves = tuple(None if level is None else level.half() for level in levels)
        self._cache = TileCache(cache_bytes)
        self._files: HandlePool[BinaryIO] = HandlePool(lambda: path.open("rb"), lambda file: file.close())
        # a slide that nobody closed gives its files back when it is collected
        self._give_back = weakref.finalize(self, self._files.close)

    @classmethod
    def of(cls, path: Path, level_sizes: Sequence[tuple[int, int]], *, cache_bytes: int) -> TiffTiles | None:
        """Return the tiles of a TIFF's levels, or None where none of them is stored as JPEG tiles."""
        import tifffile

        keep_tifffile_quiet()
        try:
            with tifffile.TiffFile(path) as file:
                levels = tuple(_level(list(file.pages), size) for size in level_sizes)
        except DAMAGE:
            return None
        return cls(path, levels, cache_bytes=cache_bytes) if any(levels) else None

    def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image | None:
        """Read a rectangle that lies inside a level.

        Returns
        -------
        RGB pixels (height, width, 3); None where a tile is missing in the file, or cannot be decoded without fault:
        OpenSlide knows what to do then.
        """
        return self._read(self._levels[level], location, size)

    def read_half(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image | None:
        """Read a rectangle of a level at half its size, decoding no more than that needs; all numbers are halves.

        libjpeg leaves out the finer half of the frequencies, which is close to the mean of four pixels, not equal.

        Returns
        -------
        As :meth:`read`; None also where the tiles have odd sides, or the rectangle reaches into an odd last row or
        column.
        """
        where = self._halves[level]
        inside = where is not None and all(a + b <= c for a, b, c in zip(location, size, where.size, strict=True))
        return self._read(where, location, size) if inside else None

    def _read(self, where: _Level | None, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image | None:
        if where is None:
            return None
        (left, top), (width, height), (tile_width, tile_height) = location, size, where.tile
        image = np.empty((height, width, 3), dtype=np.uint8)
        for row in range(top // tile_height, -(-(top + height) // tile_height)):
            for column in range(left // tile_width, -(-(left + width) // tile_width)):
                x, y = column * tile_width, row * tile_height
                right, bottom = min(x + tile_width, where.size[0]), min(y + tile_height, where.size[1])
                inside = left <= x and top <= y and right <= left + width and bottom <= top + height
                tile = self._tile(where, row, column, keep=not inside)
                if tile is None:
                    return None
                x0, y0, x1, y1 = max(x, left), max(y, top), min(right, left + width), min(bottom, top + height)
                image[y0 - top : y1 - top, x0 - left : x1 - left] = tile[y0 - y : y1 - y, x0 - x : x1 - x]
        return image

    def _tile(self, where: _Level, row: int, column: int, *, keep: bool) -> UInt8Image | None:
        key = (where.size, where.shrink, row, column)
        tile = self._cache.get(key) if keep else None
        if tile is None:
            with self._files.borrow() as file:
                tile = _decode(file, where, row * where.columns + column)
            if tile is not None and keep:
                self._cache.put(key, tile)
        return tile

    def close(self) -> None:
        """Close the files of all threads."""
        self._give_back()


def _level(pages: Sequence[tifffile.TiffPage | tifffile.TiffFrame], size: tuple[int, int]) -> _Level | None:
    """Find the one directory that holds a level; None where it is not certain, or not stored as JPEG tiles."""
    import tifffile

    found = [
        page
        for page in pages
        if isinstance(page, tifffile.TiffPage) and (page.imagewidth, page.imagelength) == size and page.is_tiled
    ]
    if len(found) != 1:
        return None
    (page,) = found
    eight_bit_rgb = page.dtype == np.uint8 and page.samplesperpixel == 3 and page.planarconfig == 1
    if page.compression != _JPEG or page.photometric not in _TRANSFORM or not eight_bit_rgb:
        return None
    # Adobe's marker says what the colours are, where libjpeg would have to guess: TIFF says so in a tag of its own.
    adobe = b"\xff\xee\x00\x0eAdobe" + struct.pack(">HHHB", 100, 0, 0, _TRANSFORM[page.photometric])
    tables = (page.jpegtables or _START + _END)[len(_START) : -len(_END)]
    # all of these read from the file, which is closed soon
    tile = (page.tilewidth, page.tilelength)
    columns = -(-size[0] // tile[0])
    return _Level(
        size=size,
        tile=tile,
        columns=columns,
        offsets=page.dataoffsets,
        lengths=page.databytecounts,
        head=_START + adobe + tables,
    )


def _decode(file: BinaryIO, level: _Level, number: int) -> UInt8Image | None:
    import simplejpeg

    if number >= min(len(level.offsets), len(level.lengths)) or level.lengths[number] == 0:
        return None
    try:
        data = _read(file, level.offsets[number], level.lengths[number])
        least = {"min_width": level.tile[0], "min_height": level.tile[1], "min_factor": level.shrink}
        tile = simplejpeg.decode_jpeg(level.head + data[len(_START) :], strict=True, **least)
    except (OSError, ValueError):
        return None
    return tile if tile.shape == (level.tile[1], level.tile[0], 3) else None


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    if hasattr(os, "pread"):  # one call in place of several, each of which gives Python's lock away
        data: bytes = os.pread(file.fileno(), length, offset)
        return data
    file.seek(offset)
    return file.read(length)
