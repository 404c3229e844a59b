"""Which directories of a TIFF file are the slide and its levels, and whether OpenSlide would see the same."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SlideError
from .facts import in_proportion

if TYPE_CHECKING:
    import tifffile

#: Directories that are looked at; a slide has some dozens at the most, a stack may have many thousands.
_MOST_DIRECTORIES = 64
#: What tifffile raises for damaged files, besides its own error, which is a ValueError.
_DAMAGED = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, TypeError, ValueError, struct.error)
#: Meanings of a further sample that are transparency (TIFF 6.0, ExtraSamples): premultiplied and plain alpha.
ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA = 1, 2


@dataclass(frozen=True, slots=True)
class TiffLevel:
    """One level: a series of tifffile's, and the number of its own level."""

    series: tifffile.TiffPageSeries
    number: int = 0

    @property
    def shape(self) -> tifffile.TiffPageSeries:
        """The series that has the level's own shape and directory."""
        return self.series.levels[self.number]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return length(self.shape, "X"), length(self.shape, "Y")


def length(series: tifffile.TiffPageSeries, axis: str) -> int:
    """Return how long an axis of a series is."""
    return int(series.shape[series.axes.index(axis)])


def levels_of(file: tifffile.TiffFile) -> tuple[tuple[TiffLevel, ...], tuple[str, ...]]:
    """Return the levels of the largest image of a file, largest first, and what a person should know of the others.

    A smaller image of the same kind and proportions is a level, also where its directory does not say so.

    Raises
    ------
    SlideError
        If the file holds no image.
    """
    found = [series for series in file.series if "X" in series.axes and "Y" in series.axes]
    if not found:
        raise SlideError("the file holds no image")
    main = max(found, key=lambda series: length(series, "X") * length(series, "Y"))
    levels = [TiffLevel(main, number) for number in range(len(main.levels))]
    others: list[TiffLevel] = []
    for series in found:
        if series is not main:
            level = TiffLevel(series)
            known = {one.size for one in levels}
            fits = _same_kind(main, series) and in_proportion(levels[0].size, level.size)
            (levels if fits and level.size not in known else others).append(level)
    levels.sort(key=lambda level: -level.size[0])
    warnings = []
    unmarked = [level for level in levels[1:] if not file.is_ome and not _is_marked(level)]
    if unmarked:
        warnings.append(
            f"Images that are not marked as levels are taken for levels, since they have its proportions: "
            f"{_sizes(unmarked)}."
        )
    pictures = [level for level in others if not file.is_ome]
    if pictures:
        warnings.append(f"The file holds further images ({_sizes(pictures)}); only the largest is used.")
    return tuple(levels), tuple(warnings)


def _same_kind(one: tifffile.TiffPageSeries, other: tifffile.TiffPageSeries) -> bool:
    first, second = one.keyframe, other.keyframe
    return bool(
        one.axes == other.axes
        and first.dtype == second.dtype
        and first.photometric == second.photometric
        and first.samplesperpixel == second.samplesperpixel
    )


def _is_marked(level: TiffLevel) -> bool:
    page = level.shape.keyframe
    return bool(page.is_reduced or page.is_subifd)


def _sizes(levels: list[TiffLevel]) -> str:
    return ", ".join(f"{width} x {height} px" for width, height in (level.size for level in levels))


def openslide_misreads(path: Path) -> bool:
    """Whether OpenSlide's generic TIFF format would show another image than the file holds, or a part of it.

    That format takes the first directory for level 0 and those that are marked as reduced for the levels, the high
    bits of every sample, any fourth sample for transparency, and no resolution but the plain tags.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            if file.is_ome or file.is_imagej:
                return True
            pages = list(_pages(file))
            first = pages[0]
            return first.is_reduced or any(
                page.subifds is not None
                or page.bitspersample != 8
                or has_undeclared_sample(page)
                or (page is not first and (not page.is_reduced or page.imagewidth > first.imagewidth))
                for page in pages
            )
    except _DAMAGED:  # OpenSlide says what is wrong with it
        return False


def _pages(file: tifffile.TiffFile) -> Iterator[tifffile.TiffPage]:
    for number, page in enumerate(file.pages):
        if number == _MOST_DIRECTORIES:
            return
        yield page.keyframe if hasattr(page, "keyframe") and page.keyframe is not None else page


def has_undeclared_sample(page: tifffile.TiffPage) -> bool:
    """Whether an RGB image has a fourth sample that nothing says is transparency."""
    return bool(page.samplesperpixel == 4 and page.photometric == 2 and not alpha_of(page))


def alpha_of(page: tifffile.TiffPage) -> int:
    """Return :data:`ASSOCIATED_ALPHA` or :data:`UNASSOCIATED_ALPHA` where a directory declares it, else 0."""
    declared = [int(kind) for kind in page.extrasamples]
    return next((kind for kind in declared if kind in (ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA)), 0)
