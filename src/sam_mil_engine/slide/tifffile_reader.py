"""TIFF files that OpenSlide refuses, through tifffile: OME-TIFF, grey, 16-bit, channel-first, unusual codecs."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import SlideError
from .facts import (
    UInt8Image,
    exact_downsamples,
    grey_to_rgb,
    on_white,
    plausible_mpp,
    scale_to_8_bits,
    significant_bits,
    without_padding,
)
from .handles import HandlePool
from .info import SlideInfo
from .ome import ome_facts, unit_um
from .tiff_header import is_tiff, orientation_warnings
from .tiff_levels import ASSOCIATED_ALPHA, TiffLevel, alpha_of, length, levels_of

if TYPE_CHECKING:
    import tifffile

#: Bytes of the largest strip or tile that is decoded at once; a file that needs more has to be converted.
LARGEST_CHUNK_BYTES = 2**29
#: Pixels of the coarsest level up to which it is searched for the largest 16-bit value.
SEARCHED_PIXELS = 2**26
#: TIFF photometric interpretations that are shown: white is zero, black is zero, RGB, palette, YCbCr (JPEG).
_WHITE_IS_ZERO, _PALETTE, _YCBCR = 0, 3, 6
_SHOWN = (_WHITE_IS_ZERO, 1, 2, _PALETTE, _YCBCR)
_JPEG_CODECS = (6, 7, 33003, 33005, 33007, 34712)
_CM, _INCH = 3, 2


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the array of a series becomes RGB."""

    axes: str
    colour_axis: str | None
    photometric: int
    #: (3, n) uint8 colours of a palette.
    palette: npt.NDArray[np.uint8] | None
    #: Bits of 16-bit values that are shown; None for 8-bit values.
    bits: int | None
    #: What a fourth sample is: nothing (0), premultiplied or plain transparency.
    alpha: int = 0

    def index(self, top: int, bottom: int, left: int, right: int) -> tuple[slice | int, ...]:
        """Index of a rectangle: the first plane of every axis that is neither Y, X nor colour."""
        places = {"Y": slice(top, bottom), "X": slice(left, right), self.colour_axis: slice(None)}
        return tuple(places.get(axis, 0) for axis in self.axes)

    def to_rgb(self, values: npt.NDArray[Any]) -> UInt8Image:
        """Turn what the index above selects into RGB (h, w, 3)."""
        if self.colour_axis is not None and self.axes.index(self.colour_axis) < self.axes.index("Y"):
            values = np.moveaxis(values, 0, -1)
        if self.colour_axis is not None and values.shape[-1] == 1:
            values = values[..., 0]
        if self.palette is not None:
            return np.ascontiguousarray(self.palette.T[values])
        if values.dtype == bool:
            values = values.astype(np.uint8) * 255
        if self.bits is not None:
            values = scale_to_8_bits(values, self.bits)
        if values.ndim == 3:
            if values.shape[2] == 4 and self.alpha:
                return on_white(values, premultiplied=self.alpha == ASSOCIATED_ALPHA)
            return np.ascontiguousarray(values[..., :3])
        return grey_to_rgb(255 - values if self.photometric == _WHITE_IS_ZERO else values)


@dataclass(frozen=True, slots=True)
class _Handle:
    file: tifffile.TiffFile
    levels: tuple[Any, ...]


class TiffReader:
    """A TIFF file read tile by tile (or strip by strip) through tifffile's zarr view."""

    def __init__(self, path: Path):
        self._path = path
        self._handles: HandlePool[_Handle] = HandlePool(self._open_handle, lambda handle: handle.file.close())
        with self._handles.borrow() as handle:
            levels, notes = levels_of(handle.file)
            self._layout, warnings = _layout(levels[0].series, handle.levels[-1], levels[-1].size)
            self._info = _info(path, handle.file, levels, (*notes, *warnings))

    def _open_handle(self) -> _Handle:
        import tifffile
        import zarr

        file = tifffile.TiffFile(self._path)
        try:
            stores = [level.series.aszarr(level=level.number) for level in levels_of(file)[0]]
            return _Handle(file, tuple(zarr.open_array(store, mode="r") for store in stores))
        except BaseException:
            file.close()
            raise

    @property
    def info(self) -> SlideInfo:
        """The facts of the file."""
        return self._info

    def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image:
        """Read a rectangle of a level; see :class:`~sam_mil_engine.slide.slide.SlideReader`."""
        (left, top), (width, height) = location, size
        with self._handles.borrow() as handle:
            values = handle.levels[level][self._layout.index(top, top + height, left, left + width)]
        return self._layout.to_rgb(np.asarray(values))

    def close(self) -> None:
        """Close the handles of all threads."""
        self._handles.close()


def open_with_tifffile(path: Path) -> TiffReader | None:
    """Open ``path``, or return None where it is no TIFF."""
    if not is_tiff(path):
        return None
    # tifffile logs what it finds odd; what matters is raised, and an engine does not write to the terminal.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    try:
        return TiffReader(path)
    except SlideError:
        raise
    except Exception as error:
        # A damaged file makes tifffile raise almost anything: IndexError, AttributeError, struct.error ...
        raise SlideError(f"{type(error).__name__}: {error}") from error


def _layout(
    series: tifffile.TiffPageSeries, coarsest: Any, coarsest_size: tuple[int, int]
) -> tuple[_Layout, tuple[str, ...]]:
    page, axes, warnings = series.keyframe, series.axes, []
    _refuse_unknown(page)
    colour_axis = next((axis for axis in "SC" if axis in axes and length(series, axis) > 1), None)
    channels = 1 if colour_axis is None else length(series, colour_axis)
    both = {"S", "C"} <= set(axes) and length(series, "S") > 1 and length(series, "C") > 1
    if both or channels not in (1, 3, 4):
        raise SlideError(
            f"the picture has {length(series, 'C') if both else channels} channels (axes {axes})",
            hint="Only grey, RGB and RGBA pictures can be shown: export the channels that you need as RGB",
        )
    if colour_axis == "C":
        warnings.append(f"{channels} separate channels are shown as red, green and blue.")
    alpha = alpha_of(page) if colour_axis == "S" and channels == 4 else 0
    if channels == 4 and not alpha:
        warnings.append("A fourth channel that is not declared as transparency is left out.")
    planes = [axis for axis in axes if axis not in "YXSC" and length(series, axis) > 1]
    if planes:
        named = ", ".join(f"{length(series, axis)} along {axis}" for axis in planes)
        warnings.append(f"The file holds several planes ({named}); only the first is used.")
    palette = None
    if page.photometric == _PALETTE:
        palette = (np.asarray(page.colormap) >> 8).astype(np.uint8)
    layout = _Layout(axes, colour_axis, int(page.photometric), palette, None, alpha)
    if series.dtype == np.uint16 and palette is None:
        bits = 16
        if coarsest_size[0] * coarsest_size[1] <= SEARCHED_PIXELS:
            values = np.asarray(coarsest[layout.index(0, coarsest_size[1], 0, coarsest_size[0])])
            bits = significant_bits(int(values.max()))
        layout = replace(layout, bits=bits)
        warnings.append(f"16-bit intensities: the range of {bits} bits (0 to {2**bits - 1}) is shown as 0 to 255.")
    return layout, tuple(warnings)


def _refuse_unknown(page: tifffile.TiffPage) -> None:
    photometric = int(page.photometric)
    raw_ycbcr = photometric == _YCBCR and int(page.compression) not in _JPEG_CODECS
    if photometric not in _SHOWN or raw_ycbcr:
        raise SlideError(
            f"pictures in {getattr(page.photometric, 'name', photometric)} colours are not supported",
            hint="Convert the picture to RGB",
        )
    if page.dtype not in (np.dtype(bool), np.dtype(np.uint8), np.dtype(np.uint16)):
        raise SlideError(
            f"pixels of type {page.dtype} are not supported",
            hint="Convert the picture to 8 or 16 bits without sign",
        )
    chunk_bytes = int(np.prod(page.chunks)) * page.dtype.itemsize
    if chunk_bytes > LARGEST_CHUNK_BYTES:
        raise SlideError(
            f"the picture is stored in one piece of {chunk_bytes / 2**30:.1f} GiB, not in tiles",
            hint="Convert it to a tiled pyramid, for example with `vips tiffsave IN OUT --tile --pyramid`",
        )


def _tile_size(page: tifffile.TiffPage) -> tuple[int, int] | None:
    return (page.tilewidth, page.tilelength) if page.is_tiled else None


def _info(
    path: Path,
    file: tifffile.TiffFile,
    levels: tuple[TiffLevel, ...],
    warnings: tuple[str, ...],
) -> SlideInfo:
    series = levels[0].series
    page, tiles = series.keyframe, tuple(_tile_size(level.shape.keyframe) for level in levels)
    sizes, padding = without_padding([level.size for level in levels], tiles)
    mpp_x, mpp_y, power = None, None, None
    if file.is_ome and file.ome_metadata:
        mpp_x, mpp_y, power = ome_facts(file.ome_metadata, sizes[0])
    elif file.is_imagej and (unit := unit_um(str((file.imagej_metadata or {}).get("unit", "")))) is not None:
        mpp_x, mpp_y = (unit / value if value > 0 else None for value in page.resolution)
    elif page.resolutionunit in (_CM, _INCH) and min(page.resolution) > 0:
        unit = 10_000.0 if page.resolutionunit == _CM else 25_400.0
        mpp_x, mpp_y = unit / page.resolution[0], unit / page.resolution[1]
    mpp, mpp_warnings = plausible_mpp(mpp_x, mpp_y)
    profile = page.tags.get("InterColorProfile")
    return SlideInfo(
        path=path,
        reader="tifffile",
        vendor={"ome": "ome-tiff", "generic": "tiff", "uniform": "tiff", "shaped": "tiff"}.get(
            series.kind, series.kind
        ),
        size_px0=sizes[0],
        level_sizes=sizes,
        level_downsamples=exact_downsamples(sizes),
        mpp=mpp,
        objective_power=power,
        icc_profile=None if profile is None else bytes(profile.value),
        tile_sizes=tiles,
        warnings=(*warnings, *padding, *mpp_warnings, *orientation_warnings(path)),
    )
