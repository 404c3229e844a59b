"""The viewer's pyramid: a list of lazy RGB arrays, each half (or less) of the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from ..errors import SlideError
from ..settings import PYRAMID_CACHE_BYTES
from .colour import Colours
from .facts import UInt8Image
from .level_array import LevelArray
from .read_ahead import ReadAhead
from .slide import Slide
from .tile_pool import TilePool

#: Side of the tiles that are decoded and cached, where the file does not prescribe it.
TILE = 512
#: Sides of a file's own tiles from which they are made up, and the side that they are about: small ones, so that
#: little is decoded and drawn that is not in view.
OWN_TILES, OWN_TILE = (64, 1024), 256
#: Longest side of the coarsest level: napari reads it whole, on its main thread.
COARSEST_SIDE = 1024
#: Levels further apart than this get one between them.
LARGEST_GAP = 3.0
#: Colour of a tile that cannot be decoded: magenta, which neither tissue nor glass has.
BAD_TILE = (255, 0, 255)

#: Left, top, right, bottom of a tile -> its pixels.
Make = Callable[[int, int, int, int], UInt8Image]
#: The same, where they can be had from the file at half the size; else None.
MakeHalf = Callable[[int, int, int, int], UInt8Image | None]


def open_pyramid(
    slide: Slide,
    *,
    cache_bytes: int = PYRAMID_CACHE_BYTES,
    colours: Colours | None = None,
    on_bad_tile: Callable[[SlideError], None] | None = None,
) -> list[LevelArray]:
    """Return the levels of a slide, finest first, for a viewer.

    Where the file has no level within a factor of three, and until the longest side is at most 1024 pixels, levels
    of half the size are made from the next finer one, through one cache: by area averaging, or, where tiles are
    JPEG that nobody has looked at yet, by decoding them at half their size. Tiles are made up of whole tiles of the
    file, about 256 pixels wide.

    Parameters
    ----------
    slide
        Stays open as long as the levels are used.
    cache_bytes
        Bytes of decoded tiles cached for all levels together.
    colours
        Applied to what is decoded, for example :func:`~sam_mil_engine.slide.colour.to_srgb`.
    on_bad_tile
        Called for every tile that cannot be decoded (from any thread, each tile once as long as it is cached); the
        tile is then painted magenta, so that the rest of the slide can be seen. Without it, reading raises.
    """
    pool = TilePool(cache_bytes)
    levels: list[LevelArray] = []
    looks = ReadAhead(levels)

    def add(size: tuple[int, int], tile: tuple[int, int], make: Make, finer: LevelArray | None = None) -> None:
        number = len(levels)
        levels.append(
            LevelArray(size, tile=tile, number=number, make=make, pool=pool, on_view=looks.look, finer=finer)
        )

    for number, size in enumerate(slide.info.level_sizes):
        if levels and _longest(levels[-1]) <= COARSEST_SIDE:
            break
        add(size, _tile_size(slide, number), _file_level(slide, number, colours, on_bad_tile))
        following = slide.info.level_sizes[number + 1 : number + 2]
        from_file: MakeHalf | None = _file_half(slide, number, colours)
        while _gap(levels[-1], following):
            add(*_half(levels[-1], from_file))
            from_file = None
    return levels


def _gap(level: LevelArray, following: Sequence[tuple[int, int]]) -> bool:
    """Whether a level is missing between this one and the next of the file, or behind its last one."""
    if following:
        return level.shape[1] / following[0][0] > LARGEST_GAP
    return _longest(level) > COARSEST_SIDE


def _longest(level: LevelArray) -> int:
    return max(level.shape[:2])


def _tile_size(slide: Slide, number: int) -> tuple[int, int]:
    """About 256 x 256 pixels in whole tiles of the file, so that none is decoded twice."""
    own = slide.info.tile_sizes[number] if slide.info.tile_sizes else None
    if own is None or not all(OWN_TILES[0] <= side <= OWN_TILES[1] for side in own):
        return TILE, TILE
    width, height = (side * max(1, round(OWN_TILE / side)) for side in own)
    return width, height


def _file_level(
    slide: Slide, number: int, colours: Colours | None, on_bad_tile: Callable[[SlideError], None] | None
) -> Make:
    def make(left: int, top: int, right: int, bottom: int) -> UInt8Image:
        try:
            pixels = slide.read_level(number, (left, top), (right - left, bottom - top))
        except SlideError as error:
            if on_bad_tile is None or slide.closed:
                raise
            on_bad_tile(error)
            return np.full((bottom - top, right - left, 3), BAD_TILE, dtype=np.uint8)
        return pixels if colours is None else colours(pixels)

    return make


def _file_half(slide: Slide, number: int, colours: Colours | None) -> MakeHalf:
    def make(left: int, top: int, right: int, bottom: int) -> UInt8Image | None:
        pixels = slide.read_half(number, (left, top), (right - left, bottom - top))
        return pixels if pixels is None or colours is None else colours(pixels)

    return make


def _half(
    finer: LevelArray, from_file: MakeHalf | None
) -> tuple[tuple[int, int], tuple[int, int], Make, LevelArray]:
    def make(left: int, top: int, right: int, bottom: int) -> UInt8Image:
        height, width = finer.shape[:2]
        twice = (2 * left, 2 * top, min(2 * right, width), min(2 * bottom, height))
        if from_file is not None and not finer.has(*twice):
            half = from_file(left, top, right, bottom)
            if half is not None:
                finer.pass_over(*twice)
                return half
        pixels = finer.read(*twice)
        # An odd last row or column counts twice, so that every pixel is the mean of four.
        missing = (2 * (bottom - top) - pixels.shape[0], 2 * (right - left) - pixels.shape[1])
        if any(missing):
            pixels = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        size = (right - left, bottom - top)
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    return (-(-finer.shape[1] // 2), -(-finer.shape[0] // 2)), finer.tile_size, make, finer
