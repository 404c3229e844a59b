"""OME-Zarr (0.1 to 0.5, folders and ZIP files) as slides, through zarr."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SlideError
from ..settings import OPENSLIDE_CACHE_BYTES
from .facts import (
    UInt8Image,
    exact_downsamples,
    on_white,
    plausible_mpp,
    scale_to_8_bits,
    significant_bits,
)
from .info import SlideInfo
from .levels import Size, usable_levels
from .multiscales import Multiscale, find_image, require_brightfield
from .tile_cache import TileCache
from .zarr_store import ZARR_ENDINGS, is_zarr, open_group


class ZarrReader:
    """The levels of one image; every chunk is decoded whole, and the last ones are kept."""

    def __init__(self, path: Path):
        root, self._store = open_group(path)
        try:
            image = find_image(root)
            arrays = [_array(image, name) for name in image.paths]
            require_brightfield(image, arrays[0])
            self._image, self._cache = image, TileCache(OPENSLIDE_CACHE_BYTES)
            self._read_facts(path, arrays)
        except BaseException:
            self.close()
            raise

    def _read_facts(self, path: Path, arrays: list[Any]) -> None:
        image = self._image
        x, y = image.axes.index("x"), image.axes.index("y")
        stored = [(int(array.shape[x]), int(array.shape[y])) for array in arrays]
        if min(stored[0]) < 1:
            raise SlideError("its image has no pixels", hint="Copy it again from its source")
        tiles: list[Size | None] = [(int(array.chunks[x]), int(array.chunks[y])) for array in arrays]
        usable = usable_levels(stored, tiles)
        self._arrays = [arrays[number] for number in usable.numbers]
        mpp, mpp_notes = plausible_mpp(*image.mpp)
        self._bits = 8
        notes: tuple[str, ...] = ()
        for axis, what in (("z", "planes"), ("t", "times")):
            count = arrays[0].shape[image.axes.index(axis)] if axis in image.axes else 1
            if count > 1:
                notes += (f"It holds {count} {what}; the first one is read.",)
        self._sizes, self._tiles = usable.sizes, tuple(tiles[number] for number in usable.numbers)
        if arrays[0].dtype == np.uint16:
            coarsest = len(self._arrays) - 1
            self._bits = significant_bits(int(self._values(coarsest, (0, 0), self._sizes[coarsest]).max(initial=0)))
            notes += (
                f"16-bit intensities: the range of {self._bits} bits (0 to {2**self._bits - 1}) is shown as"
                " 0 to 255.",
            )
        self._info = SlideInfo(
            path=path,
            reader="zarr",
            vendor="ome-zarr",
            size_px0=self._sizes[0],
            level_sizes=self._sizes,
            level_downsamples=exact_downsamples(self._sizes),
            mpp=mpp,
            tile_sizes=self._tiles,
            warnings=(*image.notes, *notes, *usable.warnings, *mpp_notes),
        )

    @property
    def info(self) -> SlideInfo:
        """The facts of the image."""
        return self._info

    def read(self, level: int, location: Size, size: Size) -> UInt8Image:
        """Read a rectangle of a level; see :class:`~sam_mil_engine.slide.slide.SlideReader`."""
        (left, top), (width, height) = location, size
        tile = self._tiles[level]
        if tile is None or min(tile) < 1:
            return self._pixels(level, location, size)
        image = np.empty((height, width, 3), dtype=np.uint8)
        for row in range(top // tile[1], -(-(top + height) // tile[1])):
            for column in range(left // tile[0], -(-(left + width) // tile[0])):
                x, y = column * tile[0], row * tile[1]
                chunk = self._chunk(level, row, column)
                x0, y0 = max(x, left), max(y, top)
                x1, y1 = min(x + chunk.shape[1], left + width), min(y + chunk.shape[0], top + height)
                image[y0 - top : y1 - top, x0 - left : x1 - left] = chunk[y0 - y : y1 - y, x0 - x : x1 - x]
        return image

    def _chunk(self, level: int, row: int, column: int) -> UInt8Image:
        chunk = self._cache.get((level, row, column))
        if chunk is None:
            width, height = self._tiles[level] or self._sizes[level]
            x, y = column * width, row * height
            full_width, full_height = self._sizes[level]
            chunk = self._pixels(level, (x, y), (min(width, full_width - x), min(height, full_height - y)))
            self._cache.put((level, row, column), chunk)
        return chunk

    def _pixels(self, level: int, location: Size, size: Size) -> UInt8Image:
        values = self._values(level, location, size)
        if self._bits > 8 or values.dtype != np.uint8:
            values = scale_to_8_bits(values, self._bits)
        return on_white(values) if values.shape[2] == 4 else np.ascontiguousarray(values)

    def _values(self, level: int, location: Size, size: Size) -> Any:
        """Read a rectangle (height, width, channels) as it is stored."""
        (left, top), (width, height) = location, size
        where: Mapping[str, Any] = {
            "x": slice(left, left + width),
            "y": slice(top, top + height),
            "c": slice(None),
        }
        values = np.asarray(self._arrays[level][tuple(where.get(axis, 0) for axis in self._image.axes)])
        kept = [axis for axis in self._image.axes if axis in where]
        return values.transpose([kept.index(axis) for axis in "yxc"])

    def close(self) -> None:
        """Close the file, where it is one."""
        self._store.close()


def open_with_zarr(path: Path) -> ZarrReader | None:
    """Open ``path``, or return None if it is not a group of Zarr.

    Raises
    ------
    SlideError
        If it holds no brightfield image (a label image, fluorescence, a plate), or its metadata or its ZIP file is
        damaged.
    """
    if path.is_file() and path.name.lower().endswith(ZARR_ENDINGS) and not zipfile.is_zipfile(path):
        raise SlideError(
            "the ZIP file of this OME-Zarr is damaged: it lacks the list of its files",
            where=path,
            hint="It may be truncated: compare its size with the source and copy it again",
        )
    return ZarrReader(path) if is_zarr(path) else None


def _array(image: Multiscale, name: str) -> Any:
    try:
        array = image.group[name]
        array.shape, array.chunks  # noqa: B018  (a group has neither)
    except Exception as error:  # zarr raises many types for files that break the standard
        raise SlideError(
            f"its level {name!r} cannot be read ({type(error).__name__}: {error})",
            hint="Copy the whole folder again from its source",
        ) from error
    return array
