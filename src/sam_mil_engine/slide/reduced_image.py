"""Area averaging of a large window in stripes, with exact fractional borders."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .facts import UInt8Image

#: Source pixels that are held at once.
STRIPE_PIXELS = 2**24
#: Target rows whose weights are made at once, which are mostly zeros: at least so many, and more where they take
#: fewer source rows than the second number.
BAND_ROWS = 16
BAND_SOURCE_ROWS = 256
#: A level that is this much coarser than asked still counts as fine enough: 2.001 for 2.
LEVEL_TOLERANCE = 1.01


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of whole pixels of one level."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def around(cls, bounds: tuple[float, float, float, float]) -> Window:
        """Return the smallest window that covers left, top, right, bottom (rounding noise of 1e-6 aside)."""
        left, top = (math.floor(value + 1e-6) for value in bounds[:2])
        right, bottom = (math.ceil(value - 1e-6) for value in bounds[2:])
        return cls(left, top, width=max(1, right - left), height=max(1, bottom - top))


def coarsest_level_for(level_downsamples: Sequence[tuple[float, float]], asked: tuple[float, float]) -> int:
    """Return the coarsest level that is at least as fine as ``asked`` on both axes; level 0 if none is."""
    fine = [
        level
        for level, (x, y) in enumerate(level_downsamples)
        if x <= asked[0] * LEVEL_TOLERANCE and y <= asked[1] * LEVEL_TOLERANCE
    ]
    return max(fine, key=lambda level: level_downsamples[level][0], default=0)


def area_weights(first: int, last: int, factor: float, start: int, stop: int) -> npt.NDArray[np.float32]:
    """Share of source rows ``start..stop`` in target rows ``first..last`` of ``factor`` source rows each.

    Returns
    -------
    (last - first, stop - start) float32; every row sums to 1.
    """
    upper = np.arange(first, last)[:, None] * factor
    rows = np.arange(start, stop)[None, :]
    overlap = np.minimum(upper + factor, rows + 1) - np.maximum(upper, rows)
    weights = np.clip(overlap, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def reduce_window(
    read: Callable[[tuple[int, int], tuple[int, int]], UInt8Image], *, window: Window, target: tuple[int, int]
) -> UInt8Image:
    """Average a window down to ``target`` (width, height), reading it in stripes of bounded size.

    The result is that of one area resize of the whole window, within rounding. ``read`` takes location and size in
    pixels of the level.
    """
    from scipy.sparse import csr_array

    width, height = target
    if (width, height) == (window.width, window.height):
        return read((window.left, window.top), (window.width, window.height))
    factor = window.height / height
    rows_at_once = max(1, int(STRIPE_PIXELS / (window.width * factor)))
    band_rows = max(BAND_ROWS, int(BAND_SOURCE_ROWS / factor))
    image = np.empty((height, width, 3), dtype=np.uint8)
    for first in range(0, height, rows_at_once):
        last = min(height, first + rows_at_once)
        start, stop = math.floor(first * factor), min(window.height, math.ceil(last * factor))
        stripe = read((window.left, window.top + start), (window.width, stop - start))
        narrow = cv2.resize(stripe, (width, stop - start), interpolation=cv2.INTER_AREA)
        for top in range(first, last, band_rows):
            bottom = min(last, top + band_rows)
            above, below = math.floor(top * factor), min(window.height, math.ceil(bottom * factor))
            weights = area_weights(top, bottom, factor, above, below)
            band = narrow[above - start : below - start].reshape(below - above, width * 3)
            rows = csr_array(weights) @ band.astype(np.float32)
            image[top:bottom] = np.rint(rows).reshape(bottom - top, width, 3)
    return image
