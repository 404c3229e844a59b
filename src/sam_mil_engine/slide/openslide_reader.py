"""Slides through OpenSlide: Aperio, Hamamatsu, MIRAX, Leica, Ventana, Philips, DICOM, pyramidal TIFF and more."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MALFORMED, SlideError, reason
from ..settings import OPENSLIDE_CACHE_BYTES
from .dicom_files import resampled_warnings
from .facts import UInt8Image, exact_downsamples, on_white, plausible_mpp
from .handles import HandlePool
from .info import SlideInfo
from .levels import UsableLevels, usable_levels
from .tiff_header import check_tables, orientation_warnings
from .tiff_layout import LARGEST_CHUNK_BYTES
from .tiff_routing import openslide_misreads
from .tiff_tiles import TiffTiles

if TYPE_CHECKING:
    import openslide


#: Vendors whose levels are directories of one TIFF file, and whose tiles touch but never overlap.
_PLAIN_TIFFS = ("aperio", "generic-tiff")


class OpenSlideReader:
    """A slide that OpenSlide reads: one handle for every thread that reads, all sharing one cache of tiles.

    JPEG tiles of a plain TIFF are decoded without it where that gives the same pixels, see :mod:`.tiff_tiles`.
    """

    def __init__(self, path: Path, first: openslide.OpenSlide, *, cache_bytes: int = OPENSLIDE_CACHE_BYTES):
        import openslide

        self._cache = openslide.OpenSlideCache(cache_bytes)
        self._path, self._cache_bytes = path, cache_bytes
        first.set_cache(self._cache)
        self._downsamples, self._stored_sizes = first.level_downsamples, first.level_dimensions
        tiles = [_tile_size(first.properties, level) for level in range(first.level_count)]
        levels = usable_levels(self._stored_sizes, tiles)
        self._numbers = levels.numbers
        self._info = _info(path, first, levels, tuple(tiles[number] for number in levels.numbers))
        self._handles: HandlePool[openslide.OpenSlide] = HandlePool(
            self._open_handle, lambda handle: handle.close()
        )
        self._handles.give(first)
        self._tiles: TiffTiles | None = None
        self._tiles_known = self._info.vendor not in _PLAIN_TIFFS
        self._looking = threading.Lock()

    def _open_handle(self) -> openslide.OpenSlide:
        import openslide

        handle = openslide.OpenSlide(self._path)
        handle.set_cache(self._cache)
        return handle

    @property
    def info(self) -> SlideInfo:
        """The facts of the file."""
        return self._info

    def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image:
        """Read a rectangle of a level; see :class:`~sam_mil_engine.slide.slide.SlideReader`."""
        # With one pixel a file is tried when it is opened: that is not worth the tables.
        tiles = self._tiff_tiles() if self._tiles_known or size != (1, 1) else None
        number = self._numbers[level]
        pixels = None if tiles is None else tiles.read(number, location, size)
        if pixels is not None:
            return pixels
        # OpenSlide places the region by its own downsample, the mean of both axes.
        scale = self._downsamples[number]
        location_px0 = (round(location[0] * scale), round(location[1] * scale))
        with self._handles.borrow() as handle:
            return on_white(np.asarray(handle.read_region(location_px0, number, size)))

    def read_half(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image | None:
        """Read JPEG tiles at half their size; see :class:`~sam_mil_engine.slide.slide.HalvingReader`."""
        tiles = self._tiff_tiles()
        return None if tiles is None else tiles.read_half(self._numbers[level], location, size)

    def _tiff_tiles(self) -> TiffTiles | None:
        """Look for tiles at the first read, not at opening: the tables of a large file are long."""
        if not self._tiles_known:
            with self._looking:
                if not self._tiles_known:
                    self._tiles = TiffTiles.of(self._path, self._stored_sizes, cache_bytes=self._cache_bytes)
                    self._tiles_known = True
        return self._tiles

    def close(self) -> None:
        """Close the handles of all threads."""
        self._handles.close()
        if self._tiles is not None:
            self._tiles.close()


def open_with_openslide(path: Path) -> OpenSlideReader | None:
    """Open ``path``, or return None if OpenSlide does not support the format or would misread the file."""
    import openslide

    try:
        if openslide_misreads(path, openslide.OpenSlide.detect_format(path)):
            return None
        check_tables(path)
        handle = openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError:
        return None
    except openslide.OpenSlideError as error:
        raise SlideError(str(error)) from error
    try:
        _check_tiles(handle)
        return OpenSlideReader(path, handle)
    except (openslide.OpenSlideError, *MALFORMED) as error:
        handle.close()
        raise SlideError(reason(error)) from error
    except SlideError:
        handle.close()
        raise


def _check_tiles(handle: openslide.OpenSlide) -> None:
    """Refuse tiles larger than memory: OpenSlide ends the process where it cannot hold one."""
    for level in range(handle.level_count):
        tile = _tile_size(handle.properties, level)
        if tile is not None and tile[0] * tile[1] * 4 > LARGEST_CHUNK_BYTES:
            raise SlideError(f"level {level} claims tiles of {tile[0]} x {tile[1]} px, which no slide has")


def _info(
    path: Path, handle: openslide.OpenSlide, levels: UsableLevels, tiles: tuple[tuple[int, int] | None, ...]
) -> SlideInfo:
    import openslide

    properties, sizes = handle.properties, levels.sizes
    mpp, warnings = plausible_mpp(
        _number(properties.get(openslide.PROPERTY_NAME_MPP_X)),
        _number(properties.get(openslide.PROPERTY_NAME_MPP_Y)),
    )
    vendor = properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown")
    if vendor == "generic-tiff":
        warnings += orientation_warnings(path)
    if vendor == "dicom":
        warnings += resampled_warnings([[properties.get(f"dicom.ImageType[{part}]", "") for part in (2, 3)]])
    profile = handle.color_profile
    return SlideInfo(
        path=path,
        reader="openslide",
        vendor=vendor,
        size_px0=sizes[0],
        level_sizes=sizes,
        level_downsamples=exact_downsamples(sizes),
        mpp=mpp,
        objective_power=_number(properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER)),
        icc_profile=None if profile is None else profile.tobytes(),
        bounds_px0=_bounds(properties),
        centre_offset_um=_centre_offset(properties),
        tile_sizes=tiles,
        warnings=(*warnings, *levels.warnings),
    )


def _tile_size(properties: Mapping[str, str], level: int) -> tuple[int, int] | None:
    sides = [properties.get(f"openslide.level[{level}].tile-{side}") for side in ("width", "height")]
    return None if sides[0] is None or sides[1] is None else (int(sides[0]), int(sides[1]))


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _bounds(properties: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    names = [f"openslide.bounds-{name}" for name in ("x", "y", "width", "height")]
    if not all(name in properties for name in names):
        return None
    x, y, width, height = (int(properties[name]) for name in names)
    return x, y, width, height


def _centre_offset(properties: Mapping[str, str]) -> tuple[float, float] | None:
    """Hamamatsu states the centre of the scan, seen from the centre of the glass, in nanometres."""
    x, y = (_number(properties.get(f"hamamatsu.{axis}OffsetFromSlideCentre")) for axis in "XY")
    return None if x is None or y is None else (x / 1000, y / 1000)
