"""The directories of a TIFF file: what each image in it is, without decoding one, and without the long tables."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import SlideError

#: What damaged tables and tiles make tifffile and its codecs raise.
DAMAGE = (OSError, ValueError, RuntimeError, IndexError, KeyError, TypeError, struct.error)
#: Byte order of each signature, and whether the file is a BigTIFF.
_SIGNATURES = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
#: Struct letters of the types of values that are read: bytes, text, unsigned integers.
_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _DESCRIPTION = 254, 256, 257, 258, 262, 270
_ORIENTATION, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _SUB_DIRECTORIES = 274, 277, 322, 323, 330
_SAMPLE_FORMAT = 339
_READ = frozenset(
    {_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _DESCRIPTION, _ORIENTATION, _SAMPLES, _TILE_WIDTH}
    | {_TILE_HEIGHT, _SUB_DIRECTORIES, _SAMPLE_FORMAT}
)
#: Bytes of a value that are read at most: the start of a description says what kind it is.
_LONGEST_VALUE = 4096
#: Directories and entries up to which a file is followed: a damaged one may state any number.
_MOST_DIRECTORIES, _MOST_ENTRIES = 4096, 4096
UPRIGHT = 1

#: Tags with the lengths of strips and of tiles, and the longest such table that is looked at.
_LENGTHS, _LONGEST_TABLE = frozenset({279, 325}), 2**28
#: NumPy's names of the types of whole numbers.
_NUMPY = {3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
#: Tag, type, number of values, and the value or where it is.
_Entry = tuple[int, int, int, bytes]
_Tags = Mapping[int, tuple[int, ...] | bytes]


def keep_tifffile_quiet() -> None:
    """Keep what tifffile finds unusual from the terminal; what matters is raised. Once for all slides is enough."""
    logger = logging.getLogger("tifffile")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class TiffDirectory:
    """One image of a TIFF file, as its directory describes it.

    Attributes
    ----------
    size
        Width and height in pixels.
    tile
        Width and height of its tiles; None where it is stored in strips.
    reduced
        Whether it is marked as a smaller version of another image.
    bits
        Largest number of bits of a sample.
    samples
        Samples per pixel.
    unsigned
        Whether all samples are unsigned integers.
    photometric
        TIFF's number of the colour space.
    orientation
        TIFF's number of the orientation; 1 is upright.
    sub_directories
        Whether it has sub-directories.
    description
        The first 4096 bytes of the description.
    """

    size: tuple[int, int]
    tile: tuple[int, int] | None
    reduced: bool
    bits: int
    samples: int
    unsigned: bool
    photometric: int
    orientation: int
    sub_directories: bool
    description: str


def is_tiff(path: Path) -> bool:
    """Whether the file starts as TIFF and BigTIFF files do."""
    with path.open("rb") as file:
        return file.read(4) in _SIGNATURES


def read_directories(path: Path, *, most: int = _MOST_DIRECTORIES) -> tuple[TiffDirectory, ...]:
    """Read the main directories of a TIFF file, in file order, as far as they can be read.

    Parameters
    ----------
    path
        The file; one that is not a TIFF has no directories.
    most
        Directories that are read at most.
    """
    directories: list[TiffDirectory] = []
    with path.open("rb") as file:
        try:
            for tags in _walk(file):
                directories.append(_directory(tags))
                if len(directories) >= most:
                    break
        except (struct.error, OverflowError, ValueError, OSError):
            # the file ends before what it announces: its reader says so when it opens the file
            return tuple(directories)
    return tuple(directories)


def check_tables(path: Path) -> None:
    """Raise :class:`SlideError` where a TIFF leads its readers astray; what is no TIFF is left alone.

    Main directories that form a circle are read for ever by some; a tile that claims to be longer than the file
    ends the process of others, which make room for it.
    """
    with path.open("rb") as file, suppress(struct.error, OverflowError, ValueError, OSError):
        seen: set[int] = set()
        for offset, order, entries in _directories(file):
            if offset in seen or len(seen) == _MOST_DIRECTORIES:
                raise SlideError("its TIFF directories never end: one names an earlier one as the next")
            seen.add(offset)
            for tag, kind, number, inline in entries:
                if tag in _LENGTHS and kind in _NUMPY:
                    _check_lengths(file, order, np.dtype(order + _NUMPY[kind]), number, inline)


def _check_lengths(file: BinaryIO, order: str, kind: np.dtype[Any], number: int, inline: bytes) -> None:
    end = os.fstat(file.fileno()).st_size
    if number * kind.itemsize > min(end, _LONGEST_TABLE):
        return
    if number * kind.itemsize > len(inline):
        file.seek(struct.unpack(order + ("Q" if len(inline) == 8 else "I"), inline)[0])
        inline = file.read(number * kind.itemsize)
    lengths = np.frombuffer(inline[: number * kind.itemsize], kind)
    if len(lengths) and int(lengths.max()) > end:
        raise SlideError(f"a tile claims to be {int(lengths.max())} bytes long, the file has {end}")


def orientation_warnings(path: Path) -> tuple[str, ...]:
    """One sentence where a TIFF asks to be shown turned or mirrored, else nothing."""
    first = read_directories(path, most=1)
    if not first:
        return ("The TIFF orientation tag cannot be read.",)
    if first[0].orientation == UPRIGHT:
        return ()
    return (
        f"The file asks to be shown rotated or mirrored (TIFF orientation {first[0].orientation}); "
        "pixels and coordinates are used as they are stored.",
    )


def _walk(file: BinaryIO) -> Iterator[_Tags]:
    """Yield the tags of one main directory after another, each once."""
    seen: set[int] = set()
    for offset, order, entries in _directories(file):
        if offset in seen or len(seen) == _MOST_DIRECTORIES:
            return
        seen.add(offset)
        yield {
            tag: _value(file, order, _TYPES[kind], number, inline)
            for tag, kind, number, inline in entries
            if tag in _READ and kind in _TYPES
        }


def _directories(file: BinaryIO) -> Iterator[tuple[int, str, list[_Entry]]]:
    """Yield offset, byte order and entries of one main directory after another, in a circle for ever."""
    signature = file.read(4)
    if signature not in _SIGNATURES:
        return
    order, big = _SIGNATURES[signature]
    offset_type, count_type = ("Q", "Q") if big else ("I", "H")
    if big:
        file.seek(8)
    (offset,) = _unpack(file, order + offset_type)
    while offset:
        here = offset
        file.seek(offset)
        (count,) = _unpack(file, order + count_type)
        if count > _MOST_ENTRIES:
            return
        entry = struct.Struct(order + "HH" + ("Q8s" if big else "I4s"))
        entries = file.read(count * entry.size)
        (offset,) = _unpack(file, order + offset_type)
        yield here, order, list(entry.iter_unpack(entries))


def _value(file: BinaryIO, order: str, letter: str, number: int, inline: bytes) -> tuple[int, ...] | bytes:
    size = struct.calcsize(order + letter)
    number = min(number, _LONGEST_VALUE // size)
    if number * size > len(inline):
        file.seek(struct.unpack(order + ("Q" if len(inline) == 8 else "I"), inline)[0])
        inline = file.read(number * size)
    if letter == "s":
        return inline[:number]
    return struct.unpack(f"{order}{number}{letter}", inline[: number * size])


def _unpack(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _directory(tags: _Tags) -> TiffDirectory:
    def numbers(tag: int, *default: int) -> tuple[int, ...]:
        value = tags.get(tag, default)
        return value if isinstance(value, tuple) and value else default

    def number(tag: int, default: int) -> int:
        return numbers(tag, default)[0]

    description = tags.get(_DESCRIPTION, b"")
    tiled = _TILE_WIDTH in tags and _TILE_HEIGHT in tags
    return TiffDirectory(
        size=(number(_WIDTH, 0), number(_HEIGHT, 0)),
        tile=(number(_TILE_WIDTH, 0), number(_TILE_HEIGHT, 0)) if tiled else None,
        reduced=bool(number(_SUBFILE, 0) & 1),
        bits=max(numbers(_BITS, 1)),
        samples=number(_SAMPLES, 1),
        unsigned=set(numbers(_SAMPLE_FORMAT, 1)) <= {1, 4},
        photometric=number(_PHOTOMETRIC, 1),
        orientation=number(_ORIENTATION, UPRIGHT),
        sub_directories=_SUB_DIRECTORIES in tags,
        description=description.decode("utf-8", errors="replace") if isinstance(description, bytes) else "",
    )
