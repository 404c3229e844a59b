"""JPEG tiles of a TIFF slide, decoded where they lie: the same pixels as OpenSlide's, several times as fast.

For looking only. OpenSlide refuses a tile that libjpeg finds the least fault with; the decoder here sees only the
faults of form that :func:`is_intact` looks for. What is computed from a slide is therefore read by OpenSlide.
"""

from __future__ import annotations

import logging
import os
import re
import struct
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from .facts import UInt8Image
from .handles import HandlePool

if TYPE_CHECKING:
    import tifffile

_JPEG = 7
_RGB, _YCBCR = 2, 6
_START_OF_SCAN, _END = b"\xff\xda", b"\xff\xd9"
#: In compressed data 0xFF stands before 0x00 or a restart marker; before anything else it ends the data.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
#: What a damaged table or tile makes tifffile and imagecodecs raise.
DAMAGE = (OSError, ValueError, RuntimeError, IndexError, KeyError, TypeError, struct.error)


@dataclass(frozen=True, slots=True)
class _Level:
    """One directory of the file: where its tiles lie and how to decode one."""

    size: tuple[int, int]
    tile: tuple[int, int]
    offsets: Sequence[int]
    lengths: Sequence[int]
    #: tifffile's decoder of this directory: (data, number of the tile) -> (pixels (1, h, w, 3), ...).
    decode: Callable[..., tuple[Any, ...]]
    jpeg_tables: bytes | None

    def number(self, x: int, y: int) -> int:
        """Return the number of the tile that holds a pixel."""
        return y // self.tile[1] * -(-self.size[0] // self.tile[0]) + x // self.tile[0]


class TiffTiles:
    """The levels of a slide whose tiles are JPEG.

    OpenSlide turns every tile into ARGB, and Python turns that into RGB again; for a rectangle of whole tiles
    neither is needed. Whatever else is asked for is left to OpenSlide. Safe to use from several threads.
    """

    def __init__(self, path: Path, levels: tuple[_Level | None, ...]):
        self._levels = levels
        self._files: HandlePool[BinaryIO] = HandlePool(lambda: path.open("rb"), lambda file: file.close())
        # a slide that nobody closed gives its files back when it is collected
        self._give_back = weakref.finalize(self, self._files.close)

    @classmethod
    def of(cls, path: Path, level_sizes: Sequence[tuple[int, int]]) -> TiffTiles | None:
        """Return the tiles of a TIFF's levels, or None where none of them is stored as JPEG tiles."""
        import tifffile

        # tifffile logs what it finds odd; an engine does not write to the terminal
        logging.getLogger("tifffile").addHandler(logging.NullHandler())
        try:
            with tifffile.TiffFile(path) as file:
                levels = tuple(_level(list(file.pages), size) for size in level_sizes)
        except DAMAGE:
            return None
        return cls(path, levels) if any(levels) else None

    def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image | None:
        """Read a rectangle of a level.

        Returns
        -------
        RGB pixels (height, width, 3); None where the rectangle is not made of whole tiles, a tile is missing in the
        file, or one cannot be decoded: OpenSlide knows what to do then.
        """
        where = self._levels[level]
        if where is None or not _whole_tiles(where, location, size):
            return None
        (left, top), (width, height), (tile_width, tile_height) = location, size, where.tile
        with self._files.borrow() as file:
            if width <= tile_width and height <= tile_height:
                tile = _decode(file, where, where.number(left, top))
                fits = tile is not None and tile.shape == (tile_height, tile_width, 3)
                return np.ascontiguousarray(tile[:height, :width]) if tile is not None and fits else None
            image = np.empty((height, width, 3), dtype=np.uint8)
            for y in range(0, height, tile_height):
                for x in range(0, width, tile_width):
                    tile = _decode(file, where, where.number(left + x, top + y))
                    if tile is None or tile.shape != (tile_height, tile_width, 3):
                        return None
                    target = image[y : y + tile_height, x : x + tile_width]
                    target[...] = tile[: target.shape[0], : target.shape[1]]
        return image

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
    if page.compression != _JPEG or page.photometric not in (_RGB, _YCBCR) or not eight_bit_rgb:
        return None
    # all of these read from the file, which is closed soon
    return _Level(
        size, (page.tilewidth, page.tilelength), page.dataoffsets, page.databytecounts, page.decode, page.jpegtables
    )


def _whole_tiles(level: _Level, location: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a rectangle begins and ends on borders of tiles, or ends with the level."""
    return all(
        start % tile == 0 and ((start + length) % tile == 0 or start + length == side)
        for start, length, tile, side in zip(location, size, level.tile, level.size, strict=True)
    )


def _decode(file: BinaryIO, level: _Level, number: int) -> UInt8Image | None:
    try:
        length = level.lengths[number]
        if length == 0:
            return None
        data = _read(file, level.offsets[number], length)
        if len(data) != length or not is_intact(data):
            return None
        tile = level.decode(data, number, jpegtables=level.jpeg_tables)[0]
    except DAMAGE:
        return None
    return None if tile is None else np.asarray(tile, dtype=np.uint8)[0]


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    if hasattr(os, "pread"):  # one call in place of several, each of which gives Python's lock away
        return os.pread(file.fileno(), length, offset)
    file.seek(offset)
    return file.read(length)


def is_intact(data: bytes) -> bool:
    """Whether a JPEG stream is one scan that runs from its header to its end; false for progressive JPEG too."""
    place = 2
    while data[place : place + 2] != _START_OF_SCAN:
        if place + 4 > len(data) or data[place] != 0xFF:
            return False
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    marker = _MARKER.search(data, place + 2 + int.from_bytes(data[place + 2 : place + 4], "big"))
    return marker is not None and marker.group() == _END and not data[marker.end() :].strip(b"\0\xff")
