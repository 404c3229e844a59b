"""Colours of the report: colour maps for values, one quiet colour for every segment."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..errors import SettingsError

Colours = npt.NDArray[np.uint8]
RGB = tuple[int, int, int]

#: Attention is a quantity (pale to dark), probability has a middle (blue, white, red).
ATTENTION_MAP = "YlOrRd"
PROBABILITY_MAP = "RdBu_r"

TISSUE: RGB = (10, 125, 80)
HOLE: RGB = (225, 120, 20)
ANNOTATION: RGB = (20, 60, 225)
POSITIVE: RGB = (0, 190, 215)

_GOLDEN_ANGLE = 137.50776405


@lru_cache(maxsize=32)
def colour_table(name: str) -> Colours:
    """(256, 3) uint8 colours of a matplotlib colour map.

    Raises
    ------
    SettingsError
        If matplotlib has no colour map of this name.
    """
    from matplotlib import colormaps

    if name not in colormaps:
        raise SettingsError(
            f"there is no colour map {name!r}", hint="Use a name that matplotlib knows, such as viridis or RdBu_r"
        )
    table: Colours = np.round(colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)
    table.setflags(write=False)
    return table


def colours_of(values: npt.ArrayLike, *, colormap: str, limits: tuple[float, float]) -> Colours:
    """Values (...) -> colours (..., 3) uint8; values beyond the limits take the colour of the nearer end.

    Values must be finite. Where both limits are equal, everything takes the middle colour.
    """
    numbers = np.asarray(values, dtype=np.float64)
    low, high = limits
    if high < low:
        raise SettingsError(f"colour limits must ascend, got {limits}")
    scaled = np.full(numbers.shape, 0.5) if high == low else np.clip((numbers - low) / (high - low), 0, 1)
    picked: Colours = colour_table(colormap)[np.floor(scaled * 255 + 0.5).astype(np.intp)]
    return picked


def segment_colours(count: int) -> Colours:
    """(count, 3) uint8: one colour a segment, always the same for the same number.

    Hues go round by the golden angle at moderate chroma in CIE Lab, so that numbers close to each other differ
    clearly while no colour shouts.
    """
    import cv2

    if count == 0:
        return np.zeros((0, 3), dtype=np.uint8)
    number = np.arange(count)
    hue = np.deg2rad(40 + number * _GOLDEN_ANGLE)
    lightness = np.array([64.0, 54.0, 74.0])[number % 3]
    chroma = np.array([46.0, 42.0, 40.0])[number % 3]
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1).astype(np.float32)
    rgb = cv2.cvtColor(lab[None], cv2.COLOR_LAB2RGB)[0]
    colours: Colours = np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    return colours


def css(colour: npt.ArrayLike) -> str:
    """Three numbers 0-255 -> ``#rrggbb``."""
    red, green, blue = (int(value) for value in np.asarray(colour))
    return f"#{red:02x}{green:02x}{blue:02x}"
