"""Facts that every reader states in the same way: levels, micrometres per pixel, RGB pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ..settings import MPP_RANGE

UInt8Image = npt.NDArray[np.uint8]
WHITE = 255


def exact_downsamples(level_sizes: Sequence[tuple[int, int]]) -> tuple[tuple[float, float], ...]:
    """Ratio of level 0's width and height to those of every level, unrounded."""
    width, height = level_sizes[0]
    return tuple((width / level_width, height / level_height) for level_width, level_height in level_sizes)


def plausible_mpp(x: float | None, y: float | None) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Keep micrometres per pixel that a microscope can mean; one axis speaks for both where the other is missing.

    Returns
    -------
    mpp
        (x, y), or None where the file does not say or says the impossible.
    warnings
        One sentence where a stated value was not believed, else nothing.
    """
    if x is None and y is None:
        return None, ()
    if x is None or y is None:
        value, axis = (y, "height") if x is None else (x, "width")
        mpp, warnings = plausible_mpp(value, value)
        said = f"The file states the size of a pixel for its {axis} alone; it is taken for both."
        return mpp, warnings if mpp is None else (said,)
    low, high = MPP_RANGE
    if low <= x <= high and low <= y <= high:
        return (float(x), float(y)), ()
    return None, (
        f"The file states {x:.6g} x {y:.6g} µm per pixel, which no microscope slide has"
        f" (expected {low} to {high}); the slide is treated as having no resolution.",
    )


def on_white(rgba: UInt8Image, *, premultiplied: bool = False) -> UInt8Image:
    """Composite (h, w, 4) RGBA on white; returns (h, w, 3).

    ``premultiplied`` says that the colours are multiplied by their alpha already (TIFF's associated alpha).
    """
    alpha = rgba[..., 3:]
    if alpha.size == 0:
        return np.ascontiguousarray(rgba[..., :3])
    if alpha.min() == WHITE:
        return np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), dtype=np.uint8)
    if premultiplied:
        return np.asarray(np.minimum(rgba[..., :3].astype(np.uint16) + (WHITE - alpha), WHITE), dtype=np.uint8)
    weight = alpha.astype(np.uint16)
    mixed = rgba[..., :3] * weight + WHITE * (WHITE - weight) + WHITE // 2
    return np.asarray(mixed // WHITE, dtype=np.uint8)


def grey_to_rgb(grey: npt.NDArray[np.uint8]) -> UInt8Image:
    """(h, w) -> (h, w, 3) with three equal channels."""
    return np.repeat(grey[..., None], 3, axis=2)


def significant_bits(largest: int) -> int:
    """Bits that an intensity of ``largest`` needs, at least 8: 4095 -> 12."""
    return max(8, int(largest).bit_length())


def scale_to_8_bits(values: npt.NDArray[np.unsignedinteger], bits: int) -> npt.NDArray[np.uint8]:
    """Map the range of ``bits`` linearly on 0..255; larger values become 255."""
    scaled = values.astype(np.float32) * (255.0 / (2**bits - 1))
    return np.asarray(np.minimum(np.rint(scaled), 255), dtype=np.uint8)
