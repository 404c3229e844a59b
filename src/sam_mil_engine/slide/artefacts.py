"""Find pen, folds, dark spots and air bubbles by colour and shape, and blur by sharpness.

Nothing here is learnt: each rule says what it looks at. ``studies/artefacts.md`` has recall and false alarms.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..progress import Progress, ProgressCallback, silent
from .artefact_map import KINDS, ArtefactMap
from .blur import blurred
from .facts import UInt8Image
from .slide import Slide

Mask = npt.NDArray[np.bool_]
Densities = npt.NDArray[np.float32]

#: Micrometres per pixel at which colours and shapes are looked at.
UM_PER_PIXEL = 8.0
#: Of a slide that does not state its resolution.
USUAL_MPP = 0.5
#: Optical density (length over R, G, B) of ink at least; red ink must be denser, since blood is red.
_INK, _RED_INK = 0.45, 0.75
#: Smallest pen stroke, in µm².
_PEN_UM2 = 60_000
#: Grey: the palest channel has at least this part of the density of the darkest.
_GREY = 0.8
#: Density in every channel of what is black, and of the edge of a bubble.
_BLACK, _EDGE = 0.5, 0.12
#: Smallest dark spot, in µm²; larger or longer ones than the second are pen.
_SPOT_UM2, _STROKE_UM = 1500, 600.0
#: Density (sum over R, G, B) from which something is tissue.
_TISSUE_DENSITY = 0.25
#: The darkest tenth of a slide's tissue, times the first number, is a fold; what touches it, times the second.
_DARKEST, _FOLD, _FOLD_EDGE = 90.0, 1.2, 1.1
#: Shortest fold, and colour (densest less palest channel) without which it is ink or dirt.
_FOLD_UM, _FOLD_COLOUR = 300.0, 0.25
#: Smallest air bubble in µm², and how round it is (1 is a disc).
_BUBBLE_UM2, _ROUND = 200_000, 0.6


def find_artefacts(slide: Slide, *, progress: ProgressCallback = silent) -> ArtefactMap:
    """Find what spoils a slide.

    Parameters
    ----------
    slide
        The slide; where it does not state its resolution, 0.5 µm per pixel is taken.
    progress
        Called at every step.

    Returns
    -------
    A map of about 8 µm per pixel.

    Raises
    ------
    SlideError
        If the slide cannot be read.
    """
    progress(Progress("artefacts", 0, 2, unit="steps", message="colours and shapes"))
    mpp = float(np.mean(slide.info.mpp)) if slide.info.mpp is not None else USUAL_MPP
    image, frame = slide.read_image(downsample=max(1.0, UM_PER_PIXEL / mpp))
    um = float(np.mean(frame.downsample)) * mpp
    found = of_image(image, um)
    progress(Progress("artefacts", 1, 2, unit="steps", message="sharpness"))
    smooth = np.any([found[kind] for kind in ("pen", "dark spot", "air bubble")], axis=0)
    found["blur"] = blurred(slide, frame, smooth, mpp=mpp) & _closed(_is_tissue(_densities(image), um), 40 / um)
    kinds = np.zeros(image.shape[:2], dtype=np.uint8)
    for number, kind in reversed(list(enumerate(KINDS))):
        kinds[found[kind]] = number + 1
    progress(Progress("artefacts", 2, 2, unit="steps"))
    return ArtefactMap(kinds, frame)


def of_image(image: UInt8Image, um: float) -> dict[str, Mask]:
    """Find pen, folds, dark spots and air bubbles in an RGB image (h, w, 3) of ``um`` µm per pixel."""
    density = _densities(image)
    grey = density.min(axis=2) >= _GREY * np.maximum(density.max(axis=2), 1e-6)
    black = grey & (density.min(axis=2) > _BLACK)
    coloured = _ink(density) & ~grey
    spots, strokes = _spots_and_strokes(black, um)
    pen = strokes | _larger(_closed(coloured, 40 / um), _PEN_UM2 / um**2)
    return {
        "pen": _closed(pen, 60 / um),
        "fold": _folds(density, um) & ~pen,
        "dark spot": spots,
        "air bubble": _bubbles(density, grey, um),
    }


def _densities(image: UInt8Image) -> Densities:
    """Optical density of each channel: 0 is white, 1 a tenth of the light."""
    table = -np.log10((np.arange(256, dtype=np.float32) + 1) / 256)
    return np.asarray(table[image], dtype=np.float32)


def _ink(density: Densities) -> Mask:
    """Blue, green, red or yellow ink: haematoxylin and eosin absorb green light most, and red and blue less.

    Distances between colours are quotients of densities: they do not depend on how thick ink or tissue lie.
    """
    red, green, blue = (np.maximum(density[..., channel], 0.01) for channel in range(3))
    length = np.linalg.norm(density, axis=2)
    blue_ink = (red > 1.1 * green) & (red > 1.9 * blue)
    green_ink = red > 1.6 * green
    yellow_ink = (blue > 1.6 * green) & (blue > 1.6 * red)
    red_ink = (blue > 0.7 * green) & (red < 0.3 * green) & (length > _RED_INK)
    return np.asarray((length > _INK) & (blue_ink | green_ink | yellow_ink | red_ink), dtype=bool)


def _spots_and_strokes(black: Mask, um: float) -> tuple[Mask, Mask]:
    """Tell what is black apart: short pieces are spots, long ones strokes of a pen."""
    spots, strokes = np.zeros_like(black), np.zeros_like(black)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(_closed(black, 24 / um).astype(np.uint8))
    for number in range(1, count):
        _, _, width, height, area = stats[number]
        if area * um**2 < _SPOT_UM2:
            continue
        target = strokes if max(width, height) * um > _STROKE_UM else spots
        target[labels == number] = True
    return spots, strokes


def _folds(density: Densities, um: float) -> Mask:
    """Tissue that lies double: dark and saturated, darker than nearly all tissue of the slide.

    Folds of pale tissue, which are no darker than dense tissue elsewhere, are not found.
    """
    smooth, tissue = _smooth(density, um), _is_tissue(density, um)
    if not tissue.any():
        return np.zeros_like(tissue)
    darkest = float(np.percentile(smooth[tissue], _DARKEST))
    coloured = density.max(axis=2) - density.min(axis=2) > _FOLD_COLOUR
    edge = _closed((smooth > _FOLD_EDGE * darkest) & coloured, 40 / um)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(edge.astype(np.uint8))
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    keep = np.hypot(sides[:, 0], sides[:, 1]) * um >= _FOLD_UM
    keep &= np.bincount(labels[smooth > _FOLD * darkest], minlength=count) > 0
    keep[0] = False
    return np.asarray(keep[labels])


def _smooth(density: Densities, um: float) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(density.sum(axis=2), (0, 0), max(0.6, 24 / um)), dtype=np.float32)


def _is_tissue(density: Densities, um: float) -> Mask:
    return np.asarray(_smooth(density, um) > _TISSUE_DENSITY)


def _bubbles(density: Densities, grey: Mask, um: float) -> Mask:
    """Air under the cover glass: a round, grey outline around something pale."""
    edge = _closed(grey & (density.min(axis=2) > _EDGE), 40 / um)
    found = np.zeros_like(edge)
    contours, hierarchy = cv2.findContours(edge.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for number, contour in enumerate(contours):
        hole = hierarchy[0][number][2]
        if hierarchy[0][number][3] >= 0 or hole < 0:
            continue
        area, inside = cv2.contourArea(contour), cv2.contourArea(contours[hole])
        roundness = 4 * np.pi * area / max(cv2.arcLength(contour, True) ** 2, 1.0)
        if area * um**2 >= _BUBBLE_UM2 and inside > area / 2 and roundness >= _ROUND:
            cv2.drawContours(filled := np.zeros(edge.shape, np.uint8), [contour], -1, 1, cv2.FILLED)
            found |= filled > 0
    return found


def _closed(mask: Mask, radius: float) -> Mask:
    side = 2 * max(1, round(radius)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0)


def _larger(mask: Mask, pixels: float) -> Mask:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    keep = stats[:, cv2.CC_STAT_AREA] >= pixels
    keep[0] = False
    return np.asarray(keep[labels])
