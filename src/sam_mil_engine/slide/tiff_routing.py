"""Which reader shows a TIFF file as it is: OpenSlide opens some files that it silently misreads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .levels import in_proportion
from .tiff_header import UPRIGHT, TiffDirectory, read_directories

#: Formats of OpenSlide whose pixels libtiff decodes: its colours are wrong where samples are not plain 8-bit ones.
_DECODED_BY_LIBTIFF = frozenset({"aperio", "generic-tiff", "huron", "leica", "philips", "trestle", "ventana"})
_GREY, _RGB = (0, 1), 2
#: Longest side of another image in the file, as a part of the largest one's, from which it is not just a label.
COMPARABLE_SIDE = 1 / 8


def openslide_misreads(path: Path, vendor: str | None) -> bool:
    """Whether OpenSlide would open the file and show something else than it holds.

    OpenSlide takes the first directory and those that are marked as reduced for the levels of a TIFF without a
    vendor, however large the others are. It shows the upper 8 of 16 bits, takes any fourth sample for alpha, and
    turns or mirrors each tile by itself where the file asks to be shown so.

    Parameters
    ----------
    path
        The file.
    vendor
        What OpenSlide calls its format; None where it does not know it.
    """
    if vendor not in _DECODED_BY_LIBTIFF:
        return False
    if vendor != "generic-tiff":
        return any(_beyond_8_bits(one) or one.orientation != UPRIGHT for one in read_directories(path, most=1))
    directories = read_directories(path)
    return bool(directories) and (
        any(one.sub_directories or one.orientation != UPRIGHT for one in directories)
        or any(mark in directories[0].description for mark in ("<OME", "ImageJ="))
        or any(_samples_are_misread(one) for one in directories if one.tile is not None)
        or _images_are_missed(directories)
    )


def _beyond_8_bits(one: TiffDirectory) -> bool:
    return one.bits > 8 or not one.unsigned


def _samples_are_misread(one: TiffDirectory) -> bool:
    colours = 1 if one.photometric in _GREY else 3
    extra = one.photometric in (*_GREY, _RGB) and one.samples > colours
    return _beyond_8_bits(one) or extra


def _images_are_missed(directories: Sequence[TiffDirectory]) -> bool:
    """Whether the first directory is not the largest image, or others are levels or images without a mark."""
    first, *others = directories
    longest = max(first.size)
    for one in others:
        larger = one.size[0] * one.size[1] > first.size[0] * first.size[1]
        comparable = max(one.size) >= COMPARABLE_SIDE * longest
        level = one.tile is not None and in_proportion(first.size, one.size)
        if larger or (not one.reduced and (comparable or level)):
            return True
    return False
