"""JPEG tiles of a TIFF slide, decoded where they lie: the same pixels as OpenSlide's, several times as fast."""

from __future__ import annotations

import logging
import os
import struct
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from .facts import UInt8Image
from .handles import HandlePool
from .tile_cache import TileCache

if TYPE_CHECKING:
    import tifffile

_JPEG = 7
#: TIFF's photometric interpretation, and what Adobe's marker calls the same.
_TRANSFORM = {2: 0, 6: 1}
_START, _END = b"\xff\xd8", b"\xff\xd9"
#: What a damaged table makes tifffile raise.
_DAMAGE = (OSError, ValueError, RuntimeError, IndexError, KeyError, TypeError, struct.error)


@dataclass(frozen=True, slots=True)
class _Level:
    """One directory of the file: where its tiles lie, and the head (tables, colours) that each of them lacks."""

    size: tuple[int, int]
    tile: tuple[int, int]
    offsets: Sequence[int]
    lengths: Sequence[int]
    head: bytes


class TiffTiles:
    """The levels of a slide whose tiles are JPEG. Safe to use from several threads.

    OpenSlide turns every tile into ARGB and draws it, and Python turns that into RGB again; here a tile is decoded
    once, and what lies in the rectangle is copied. Whatever else is asked for is left to OpenSlide, and so is every
    tile that libjpeg finds the least fault with: OpenSlide's judgement and words hold there.

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
        self._cache = TileCache(cache_bytes)
        self._files: HandlePool[BinaryIO] = HandlePool(lambda: path.open("rb"), lambda file: file.close())
        # a slide that nobody closed gives its files back when it is collected
        self._give_back = weakref.finalize(self, self._files.close)

    @classmethod
    def of(cls, path: Path, level_sizes: Sequence[tuple[int, int]], *, cache_bytes: int) -> TiffTiles | None:
        """Return the tiles of a TIFF's levels, or None where none of them is stored as JPEG tiles."""
        import tifffile

        # tifffile logs what it finds odd; an engine does not write to the terminal
        logging.getLogger("tifffile").addHandler(logging.NullHandler())
        try:
            with tifffile.TiffFile(path) as file:
                levels = tuple(_level(list(file.pages), size) for size in level_sizes)
        except _DAMAGE:
            return None
        return cls(path, levels, cache_bytes=cache_bytes) if any(levels) else None

    def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image | None:
        """Read a rectangle that lies inside a level.

        Returns
        -------
        RGB pixels (height, width, 3); None where a tile is missing in the file, or cannot be decoded without fault:
        OpenSlide knows what to do then.
        """
        where = self._levels[level]
        if where is None:
            return None
        (left, top), (width, height), (tile_width, tile_height) = location, size, where.tile
        image = np.empty((height, width, 3), dtype=np.uint8)
        for row in range(top // tile_height, -(-(top + height) // tile_height)):
            for column in range(left // tile_width, -(-(left + width) // tile_width)):
                x, y = column * tile_width, row * tile_height
                right, bottom = min(x + tile_width, where.size[0]), min(y + tile_height, where.size[1])
                inside = left <= x and top <= y and right <= left + width and bottom <= top + height
                tile = self._tile(level, where, row, column, keep=not inside)
                if tile is None:
                    return None
                x0, y0, x1, y1 = max(x, left), max(y, top), min(right, left + width), min(bottom, top + height)
                image[y0 - top : y1 - top, x0 - left : x1 - left] = tile[y0 - y : y1 - y, x0 - x : x1 - x]
        return image

    def _tile(self, level: int, where: _Level, row: int, column: int, *, keep: bool) -> UInt8Image | None:
        tile = self._cache.get((level, row, column)) if keep else None
        if tile is None:
            with self._files.borrow() as file:
                tile = _decode(file, where, row * -(-where.size[0] // where.tile[0]) + column)
            if tile is not None and keep:
                self._cache.put((level, row, column), tile)
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
    return _Level(size, tile, page.dataoffsets, page.databytecounts, _START + adobe + tables)


def _decode(file: BinaryIO, level: _Level, number: int) -> UInt8Image | None:
    import simplejpeg

    if number >= min(len(level.offsets), len(level.lengths)) or level.lengths[number] == 0:
        return None
    try:
        data = _read(file, level.offsets[number], level.lengths[number])
        tile = simplejpeg.decode_jpeg(level.head + data[len(_START) :], strict=True)
    except (OSError, ValueError):
        return None
    return tile if tile.shape == (level.tile[1], level.tile[0], 3) else None


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    if hasattr(os, "pread"):  # one call in place of several, each of which gives Python's lock away
        return os.pread(file.fileno(), length, offset)
    file.seek(offset)
    return file.read(length)
