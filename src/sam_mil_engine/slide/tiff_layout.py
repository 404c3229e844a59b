"""How the values of a TIFF image become RGB: axes, colours, bits and alpha."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import SlideError
from .facts import (
    UInt8Image,
    grey_to_rgb,
    on_white,
    scale_to_8_bits,
    significant_bits,
)

if TYPE_CHECKING:
    import tifffile

#: Bytes of the largest strip or tile that is decoded at once; a file that needs more has to be converted.
LARGEST_CHUNK_BYTES = 2**29
#: Pixels of the coarsest level up to which all of it is searched for the largest 16-bit value.
SEARCHED_PIXELS = 2**26
#: The same for alpha, of which most places tell at once that it hides nothing.
_SEARCHED_FOR_ALPHA = 2**20
#: Of a larger level, windows of this side at so many places along each axis are searched.
_WINDOW, _PLACES = 512, 8
#: TIFF photometric interpretations that are shown: white is zero, black is zero, RGB, palette, YCbCr (JPEG).
_WHITE_IS_ZERO, _PALETTE, _YCBCR = 0, 3, 6
_SHOWN = (_WHITE_IS_ZERO, 1, 2, _PALETTE, _YCBCR)
_JPEG_CODECS = (6, 7, 33003, 33005, 33007, 34712)
_PREMULTIPLIED, _STRAIGHT = 1, 2


@dataclass(frozen=True, slots=True)
class Layout:
    """How the array of an image becomes RGB.

    Attributes
    ----------
    axes
        Letter of every axis of the array, as tifffile names them.
    colour_axis
        The axis of colours, if there is one.
    colours
        1 for grey, 3 for RGB: the samples that are colours; further ones may be alpha.
    alpha
        What the sample after the colours is: None nothing to be shown, else TIFF's number of the kind of alpha.
    white_is_zero
        Whether grey is stored inverted.
    palette
        (3, n) uint8 colours of a palette.
    bits
        Bits of 16-bit values that are shown; None for 8-bit values.
    """

    axes: str
    colour_axis: str | None
    colours: int
    alpha: int | None
    white_is_zero: bool
    palette: npt.NDArray[np.uint8] | None = None
    bits: int | None = None

    def index(self, top: int, bottom: int, left: int, right: int) -> tuple[slice | int, ...]:
        """Index of a rectangle: the first plane of every axis that is neither Y, X nor colour."""
        places = {"Y": slice(top, bottom), "X": slice(left, right), self.colour_axis: slice(None)}
        return tuple(places.get(axis, 0) for axis in self.axes)

    def to_rgb(self, values: npt.NDArray[Any]) -> UInt8Image:
        """Turn what the index above selects into RGB (h, w, 3)."""
        values = self._colour_last(values)
        if self.palette is not None:
            return np.ascontiguousarray(self.palette.T[values[..., 0]])
        if values.dtype == bool:
            values = values.astype(np.uint8) * 255
        if self.bits is not None:
            values = scale_to_8_bits(values, self.bits)
        colours = values[..., : self.colours]
        if self.white_is_zero:
            colours = 255 - colours
        rgb = grey_to_rgb(colours[..., 0]) if self.colours == 1 else np.ascontiguousarray(colours)
        if self.alpha is None:
            return rgb
        rgba = np.concatenate([rgb, values[..., self.colours : self.colours + 1]], axis=-1)
        return on_white(rgba, premultiplied=self.alpha == _PREMULTIPLIED)

    def alpha_of(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the sample after the colours of what the index above selects."""
        return self._colour_last(values)[..., self.colours]

    def _colour_last(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.colour_axis is None:
            return values[..., None]
        return np.moveaxis(values, 0, -1) if self.axes.index(self.colour_axis) < self.axes.index("Y") else values


def length(series: tifffile.TiffPageSeries, axis: str) -> int:
    """Length of an axis, 1 where the image has none of that name."""
    return int(series.shape[series.axes.index(axis)]) if axis in series.axes else 1


def chunk_bytes(page: tifffile.TiffPage) -> int:
    """Bytes of a strip or tile when it is decoded."""
    return int(np.prod(page.chunks)) * int(page.dtype.itemsize)


def layout_of(
    series: tifffile.TiffPageSeries, coarsest: Any, coarsest_size: tuple[int, int]
) -> tuple[Layout, tuple[str, ...]]:
    """Find out how an image is shown.

    Parameters
    ----------
    series
        The image in full resolution.
    coarsest, coarsest_size
        The array of its coarsest level, with the same axes, and its width and height: searched for the range of
        16-bit values, and for what alpha hides.

    Returns
    -------
    layout
        How its values become RGB.
    warnings
        What is not shown as it is stored, in sentences.

    Raises
    ------
    SlideError
        If the image is of a kind that cannot be shown.
    """
    page = series.keyframe
    _refuse_unknown(page)
    layout, warnings = _colours(series, page)
    planes = [axis for axis in series.axes if axis not in "YXSC" and length(series, axis) > 1]
    if planes:
        named = ", ".join(f"{length(series, axis)} along {axis}" for axis in planes)
        warnings.append(f"The file holds several planes ({named}); only the first is used.")
    if layout.alpha is not None and all(
        int(layout.alpha_of(values).max()) == 0
        for values in _searched(layout, coarsest, coarsest_size, whole=_SEARCHED_FOR_ALPHA)
    ):
        warnings.append("Every pixel is marked as transparent: the slide is shown as white.")
    if series.dtype == np.uint16 and layout.palette is None:
        parts = _searched(layout, coarsest, coarsest_size, whole=SEARCHED_PIXELS)
        largest = max(int(values.max()) for values in parts)
        bits = significant_bits(largest)
        layout = replace(layout, bits=bits)
        warnings.append(f"16-bit intensities: the range of {bits} bits (0 to {2**bits - 1}) is shown as 0 to 255.")
    return layout, tuple(warnings)


def _colours(series: tifffile.TiffPageSeries, page: tifffile.TiffPage) -> tuple[Layout, list[str]]:
    axes, warnings = series.axes, []
    colour_axis = next((axis for axis in "SC" if axis in axes and length(series, axis) > 1), None)
    channels = 1 if colour_axis is None else length(series, colour_axis)
    both = length(series, "S") > 1 and length(series, "C") > 1
    # samples of one pixel may be alpha; channels of their own are stains
    shown = (1, 2, 3, 4) if colour_axis == "S" else (1, 3)
    if both or channels not in shown:
        raise SlideError(
            f"the image has {length(series, 'C') if both else channels} channels (axes {axes})",
            hint="Only grey, RGB and RGBA images can be shown: export the channels that you need as RGB",
        )
    if colour_axis == "C":
        warnings.append(f"{channels} separate channels are shown as red, green and blue.")
    alpha = None
    if channels in (2, 4):
        kind = int(page.extrasamples[0]) if page.extrasamples else 0
        alpha = kind if kind in (_PREMULTIPLIED, _STRAIGHT) else None
        if alpha is None:
            warnings.append(f"Sample {channels} of each pixel is not declared as transparency; it is left out.")
    palette = None
    if page.photometric == _PALETTE:
        palette = (np.asarray(page.colormap) >> 8).astype(np.uint8)
    colours = 1 if channels < 3 else 3
    inverted = page.photometric == _WHITE_IS_ZERO and colours == 1
    return Layout(
        axes=axes, colour_axis=colour_axis, colours=colours, alpha=alpha, white_is_zero=inverted, palette=palette
    ), warnings


def _searched(layout: Layout, level: Any, size: tuple[int, int], *, whole: int) -> Iterator[npt.NDArray[Any]]:
    """Yield all of a level of up to ``whole`` pixels, or windows spread over a larger one."""
    width, height = size
    if width * height <= whole:
        yield np.asarray(level[layout.index(0, height, 0, width)])
        return
    for top in np.linspace(0, max(0, height - _WINDOW), _PLACES).astype(int).tolist():
        for left in np.linspace(0, max(0, width - _WINDOW), _PLACES).astype(int).tolist():
            bottom, right = min(height, top + _WINDOW), min(width, left + _WINDOW)
            yield np.asarray(level[layout.index(top, bottom, left, right)])


def _refuse_unknown(page: tifffile.TiffPage) -> None:
    photometric = int(page.photometric)
    raw_ycbcr = photometric == _YCBCR and int(page.compression) not in _JPEG_CODECS
    if photometric not in _SHOWN or raw_ycbcr:
        raise SlideError(
            f"images in {getattr(page.photometric, 'name', photometric)} colours are not supported",
            hint="Convert the image to RGB",
        )
    if page.dtype not in (np.dtype(bool), np.dtype(np.uint8), np.dtype(np.uint16)):
        raise SlideError(
            f"pixels of type {page.dtype} are not supported",
            hint="Convert the image to 8 or 16 bits without sign",
        )
    if chunk_bytes(page) > LARGEST_CHUNK_BYTES:
        raise SlideError(
            f"the image is stored in one piece of {chunk_bytes(page) / 2**30:.1f} GiB, not in tiles",
            hint="Convert it to a tiled pyramid, for example with `vips tiffsave IN OUT --tile --pyramid`",
            window_hint="Convert it to a tiled TIFF with a pyramid, for example with libvips or QuPath",
        )
