"""Colours of heat maps (attention, probability, evidence), outlines and segments, in the report and in napari."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..errors import SettingsError

Colours = npt.NDArray[np.uint8]
RGB = tuple[int, int, int]

#: Attention and probability are quantities (pale to dark); evidence has a middle (blue against, red for).
ATTENTION_MAP = "YlOrRd"
PROBABILITY_MAP = "Reds"
EVIDENCE_MAP = "RdBu_r"

TISSUE: RGB = (10, 125, 80)
HOLE: RGB = (225, 120, 20)
ANNOTATION: RGB = (20, 60, 225)
POSITIVE: RGB = (0, 190, 215)
#: Of what spoils a slide, one for each kind: pen, fold, dark spot, air bubble, blur.
ARTEFACTS: tuple[RGB, ...] = ((230, 60, 20), (235, 160, 0), (60, 60, 60), (0, 150, 190), (150, 60, 200))

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


@lru_cache(maxsize=32)
def opacity_table(name: str) -> npt.NDArray[np.float64]:
    """(256,) opacity of a colour map drawn over tissue, 0 to 1: what says little leaves the stain as it looks.

    Low values of a quantity are transparent, and the middle of a map that has one; other maps are opaque.
    """
    place = np.linspace(0.0, 1.0, 256)
    if name in (ATTENTION_MAP, PROBABILITY_MAP):
        rise = np.clip((place - 0.05) / 0.55, 0, 1)
        table = rise * rise * (3 - 2 * rise)
    elif name == EVIDENCE_MAP:
        table = np.abs(2 * place - 1) ** 0.8
    else:
        table = np.ones(256)
    table.setflags(write=False)
    return table


def legend_table(name: str) -> Colours:
    """(256, 3) uint8: the colours of a map as they look over white glass, for a legend."""
    opacity = opacity_table(name)[:, None]
    seen: Colours = np.round(opacity * colour_table(name) + (1 - opacity) * 255).astype(np.uint8)
    return seen


def colours_of(values: npt.ArrayLike, *, colormap: str, limits: tuple[float, float]) -> Colours:
    """Values (...) -> colours (..., 3) uint8; values beyond the limits take the colour of the nearer end.

    Values must be finite. Where both limits are equal, everything takes the middle colour.
    """
    picked: Colours = colour_table(colormap)[_places(values, limits)]
    return picked


def opacities_of(values: npt.ArrayLike, *, colormap: str, limits: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Values (...) -> opacities (...) 0 to 1 of :func:`opacity_table`, as :func:`colours_of` picks colours."""
    picked: npt.NDArray[np.float64] = opacity_table(colormap)[_places(values, limits)]
    return picked


def _places(values: npt.ArrayLike, limits: tuple[float, float]) -> npt.NDArray[np.intp]:
    numbers = np.asarray(values, dtype=np.float64)
    low, high = limits
    if high < low:
        raise SettingsError(f"colour limits must ascend, got {limits}")
    scaled = np.full(numbers.shape, 0.5) if high == low else np.clip((numbers - low) / (high - low), 0, 1)
    return np.floor(scaled * 255 + 0.5).astype(np.intp)


def segment_colours(count: int) -> Colours:
    """(count, 3) uint8: one colour per segment, always the same for the same number.

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
