"""Which of the images in a TIFF file is the slide, and which of the others are its levels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ..errors import SlideError
from .facts import UInt8Image
from .levels import in_proportion
from .tiff_header import DAMAGE
from .tiff_layout import LARGEST_CHUNK_BYTES, chunk_bytes, length
from .tiff_routing import COMPARABLE_SIDE

if TYPE_CHECKING:
    import tifffile

Size = tuple[int, int]
#: Number of a series of the file, and of a level in it.
Place = tuple[int, int]
#: Reads a window of a level: place, (left, top), (width, height).
ReadWindow = Callable[[Place, Size, Size], UInt8Image]

#: Kinds of tifffile's series that only say how pages lie in a file, not what they are to each other.
_KINDS_WITHOUT_LEVELS = frozenset({"generic", "uniform", "shaped", "imagej"})
#: What is compared to see whether an unmarked image is a level: windows along each axis, and their side.
_WINDOWS, _SIDE = 6, 48
#: Pixels along a side that are read at once of the finer image.
_LONGEST_WINDOW = 2048
#: A level looks like the finer one: they correlate, or both are blank and equal.
_LEAST_CORRELATION, _BLANK, _SAME_GREY = 0.8, 2.0, 4.0
_NAMES_OF_SIDE_IMAGES = ("label", "macro", "overview", "thumbnail")


@dataclass(frozen=True, slots=True)
class TiffImages:
    """The slide among the images of a file.

    Attributes
    ----------
    levels
        Place of every level, largest first.
    candidates
        Places of smaller images that have the shape of levels, but nothing says that they are; largest first.
    marked
        Those that are marked as smaller versions of some image.
    others
        Width and height of images of comparable size that are neither.
    """

    levels: tuple[Place, ...]
    candidates: tuple[Place, ...]
    marked: frozenset[Place]
    others: tuple[Size, ...]


def find_images(file: tifffile.TiffFile) -> TiffImages:
    """Take the largest image for the slide, and sort the others by what they are to it.

    Raises
    ------
    SlideError
        If the file holds no image.
    """
    places = {
        (number, level): one
        for number, series in enumerate(file.series)
        for level, one in enumerate(series.levels)
        if "X" in one.axes and "Y" in one.axes
    }
    if not places:
        raise SlideError("the file holds no image")
    slide = max(places, key=lambda place: _area(places[place]))
    sized = file.series[slide[0]].kind in _KINDS_WITHOUT_LEVELS
    marked = {place for place, one in places.items() if one.keyframe.is_reduced or one.keyframe.is_subifd}
    levels, candidates, others = [slide], [], []
    for place, one in places.items():
        if place == slide:
            continue
        if place[0] == slide[0] and (not sized or place in marked):
            levels.append(place)
        elif (
            sized
            and chunk_bytes(one.keyframe) <= LARGEST_CHUNK_BYTES
            and _may_be_level(places[slide], one, marked=place in marked)
        ):
            candidates.append(place)
        elif place[1] == 0 and place not in marked and _is_comparable(places[slide], one):
            others.append(size_of(one))

    def by_size(place: Place) -> tuple[int, Place]:
        return -_area(places[place]), place

    return TiffImages(
        levels=tuple(sorted(levels, key=by_size)),
        candidates=tuple(sorted(candidates, key=by_size)),
        marked=frozenset(marked),
        others=tuple(others),
    )


def size_of(series: tifffile.TiffPageSeries) -> Size:
    """Width and height of an image."""
    return length(series, "X"), length(series, "Y")


def confirm_levels(
    images: TiffImages, sizes: dict[Place, Size], read: ReadWindow
) -> tuple[tuple[Place, ...], tuple[str, ...]]:
    """Add those candidates to the levels that show what the slide shows.

    Parameters
    ----------
    images
        The images of the file.
    sizes
        Width and height of the levels and candidates, without padding; what is not in it is not used.
    read
        Reads RGB pixels of a window.

    Returns
    -------
    levels
        Place of every level, largest first.
    warnings
        A sentence on levels without a mark, and one on images that are not used.
    """
    confirmed: list[Place] = []
    others = list(images.others)
    warnings = []
    marked = [place for place in images.levels if place in sizes]
    for place in (place for place in images.candidates if place in sizes):
        finer = min(
            (one for one in (*marked, *confirmed) if sizes[one][0] > sizes[place][0]),
            key=lambda one: sizes[one][0],
        )
        try:
            same = _show_the_same(finer, place, sizes, read)
        except DAMAGE as error:
            # the slide itself can still be shown
            width, height = sizes[place]
            warnings.append(
                f"An image of {width} x {height} px may be a level, but cannot be compared with the slide "
                f"({str(error) or type(error).__name__}); it is not used."
            )
            continue
        if same:
            confirmed.append(place)
        else:
            others.append(sizes[place])
    unmarked = [place for place in confirmed if place not in images.marked]
    if unmarked:
        named = _named(sizes[place] for place in unmarked)
        warnings.append(
            f"Images that are not marked as levels are used as levels, because they show the same image: {named}."
        )
    if others:
        warnings.append(f"The file holds further images ({_named(others)}); only the largest is used.")
    levels = sorted((*marked, *confirmed), key=lambda place: -sizes[place][0])
    return tuple(levels), tuple(warnings)


def _named(sizes: Iterable[Size]) -> str:
    return ", ".join(f"{width} x {height} px" for width, height in sizes)


def _area(series: tifffile.TiffPageSeries) -> int:
    return length(series, "X") * length(series, "Y")


def _may_be_level(slide: tifffile.TiffPageSeries, one: tifffile.TiffPageSeries, *, marked: bool) -> bool:
    """Whether an image has values and a shape like a level; one that is marked and tiled may be padded."""
    same_values = (slide.dtype, slide.axes) == (one.dtype, one.axes) and all(
        length(slide, axis) == length(one, axis) for axis in slide.axes if axis not in "YX"
    )
    smaller = size_of(one)[0] < size_of(slide)[0] and size_of(one)[1] < size_of(slide)[1]
    padded = marked and one.keyframe.is_tiled
    return same_values and smaller and (padded or in_proportion(size_of(slide), size_of(one)))


def _is_comparable(slide: tifffile.TiffPageSeries, one: tifffile.TiffPageSeries) -> bool:
    if one.name.strip().lower() in _NAMES_OF_SIDE_IMAGES:
        return False
    return max(size_of(one)) >= COMPARABLE_SIDE * max(size_of(slide))


def _show_the_same(finer: Place, coarser: Place, sizes: dict[Place, Size], read: ReadWindow) -> bool:
    """Compare windows spread over two images, at the size that they have in the coarser one."""
    (width, height), (fine_width, _) = sizes[coarser], sizes[finer]
    factor = fine_width / width
    side = max(1, min(_SIDE, int(_LONGEST_WINDOW / factor)))
    pairs = []
    for top in _spread(height, side):
        for left in _spread(width, side):
            size = (min(side, width), min(side, height))
            small = read(coarser, (left, top), size)
            corner = (int(left * factor), int(top * factor))
            window = tuple(
                max(1, min(round(part * factor), whole - start))
                for part, whole, start in zip(size, sizes[finer], corner, strict=True)
            )
            large = read(finer, corner, (window[0], window[1]))
            reduced = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
            pairs.append((small.astype(np.float32).mean(axis=2), reduced.astype(np.float32).mean(axis=2)))
    first, second = (np.concatenate([pair[number].ravel() for pair in pairs]) for number in (0, 1))
    if min(first.std(), second.std()) < _BLANK:
        return bool(max(first.std(), second.std()) < _BLANK and abs(first.mean() - second.mean()) < _SAME_GREY)
    return bool(np.corrcoef(first, second)[0, 1] >= _LEAST_CORRELATION)


def _spread(whole: int, side: int) -> Sequence[int]:
    return sorted(set(np.linspace(0, max(0, whole - side), _WINDOWS).astype(int).tolist()))
