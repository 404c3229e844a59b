"""The viewer's pyramid: a list of lazy RGB arrays, each half (or less) of the one before."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ..errors import SlideError
from ..settings import PYRAMID_CACHE_BYTES
from .colour import Colours
from .facts import UInt8Image
from .level_array import LevelArray
from .slide import Slide
from .tile_pool import TilePool

#: Side of the tiles that are decoded and kept, where the file has no say in it.
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

Make = Callable[[int, int, int, int], UInt8Image]


def open_pyramid(
    slide: Slide,
    *,
    cache_bytes: int = PYRAMID_CACHE_BYTES,
    colours: Colours | None = None,
    on_bad_tile: Callable[[SlideError], None] | None = None,
) -> list[LevelArray]:
    """Return the levels of a slide, finest first, for a viewer.

    Where the file has no level within a factor of three, and until the longest side is at most 1024 pixels, levels
    of half the size are made from the next finer one by area averaging, through one cache. Tiles are made up of
    whole tiles of the file, about 256 pixels wide.

    Parameters
    ----------
    slide
        Stays open as long as the levels are used.
    cache_bytes
        Bytes of decoded tiles that are kept for all levels together.
    colours
        Applied to what is decoded, for example :func:`~sam_mil_engine.slide.colour.to_srgb`.
    on_bad_tile
        Is told of every tile that cannot be decoded (from any thread, each tile once as long as it is cached); the
        tile is then painted magenta, so that the rest of the slide can be seen. Without it, reading raises.
    """
    pool = TilePool(cache_bytes)
    levels: list[LevelArray] = []

    def add(size: tuple[int, int], tile: tuple[int, int], make: Make, finer: LevelArray | None = None) -> None:
        levels.append(LevelArray(size, tile=tile, number=len(levels), make=make, pool=pool, finer=finer))

    for number, size in enumerate(slide.info.level_sizes):
        if levels and _longest(levels[-1]) <= COARSEST_SIDE:
            break
        while levels and levels[-1].shape[1] / size[0] > LARGEST_GAP:
            add(*_half(levels[-1]))
        add(size, _tile_size(slide, number), _file_level(slide, number, colours, on_bad_tile))
    while _longest(levels[-1]) > COARSEST_SIDE:
        add(*_half(levels[-1]))
    return levels


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


def _half(finer: LevelArray) -> tuple[tuple[int, int], tuple[int, int], Make, LevelArray]:
    def make(left: int, top: int, right: int, bottom: int) -> UInt8Image:
        height, width = finer.shape[:2]
        pixels = finer.read(2 * left, 2 * top, min(2 * right, width), min(2 * bottom, height))
        # An odd last row or column counts twice, so that every pixel is the mean of four.
        missing = (2 * (bottom - top) - pixels.shape[0], 2 * (right - left) - pixels.shape[1])
        if any(missing):
            pixels = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        size = (right - left, bottom - top)
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    return (-(-finer.shape[1] // 2), -(-finer.shape[0] // 2)), finer.tile_size, make, finer
