"""Draws artefacts over tissue, for the study of artefacts and its tests. Images are of 8 and of 2 µm per pixel."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from sam_mil_engine.slide import artefacts, blur
from sam_mil_engine.slide.slide import Slide

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

PENS = {
    "black": (25, 25, 30),
    "blue": (30, 60, 170),
    "green": (20, 140, 70),
    "red": (200, 30, 45),
    "yellow": (235, 215, 40),
}
#: µm per pixel of the image that is spoilt by colours and shapes, and widths of strokes and folds in µm.
UM, STROKE_UM, FOLD_UM = 8.0, 200.0, 120.0
#: Standard deviations of the blur, in µm.
BLURS_UM = (1.5, 2.5, 4.0)


def line(shape: tuple[int, ...], width_um: float, *, um: float = UM) -> Mask:
    """A bent line across an image."""
    height, width = shape[:2]
    mask = np.zeros((height, width), np.uint8)
    points = np.array([(0.15, 0.25), (0.5, 0.4), (0.85, 0.7)]) * (width, height)
    cv2.polylines(mask, [points.astype(np.int32)], False, 1, max(2, round(width_um / um)))
    return mask > 0


def pen(image: Image, colour: tuple[int, int, int], *, opacity: float = 0.85) -> tuple[Image, Mask]:
    """Draw a stroke of a felt pen."""
    mask = line(image.shape, STROKE_UM)
    drawn = image.copy()
    drawn[mask] = np.round(opacity * np.array(colour) + (1 - opacity) * image[mask]).astype(np.uint8)
    return drawn, mask


def fold(image: Image) -> tuple[Image, Mask]:
    """Lay the tissue next to a line over it: optical densities add up."""
    mask = line(image.shape, FOLD_UM)
    density = -np.log10((image.astype(np.float32) + 1) / 256)
    twice = density + np.roll(density, round(FOLD_UM / UM), axis=1)
    drawn = image.copy()
    drawn[mask] = np.clip(np.round(256 * 10 ** -twice[mask] - 1), 0, 255).astype(np.uint8)
    return drawn, mask


def bubble(image: Image) -> tuple[Image, Mask]:
    """Draw an air bubble: a grey ring around tissue that is paler."""
    height, width = image.shape[:2]
    centre, axes = (width // 2, height // 2), (max(40, width // 5), max(36, height // 6))
    inside, ring = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    cv2.ellipse(inside, centre, axes, 0, 0, 360, 1, cv2.FILLED)
    cv2.ellipse(ring, centre, axes, 0, 0, 360, 1, max(3, round(40 / UM)))
    drawn = image.copy()
    drawn[inside > 0] = np.clip(image[inside > 0] * 0.5 + 122, 0, 255).astype(np.uint8)
    drawn[ring > 0] = (110, 108, 112)
    return drawn, (inside | ring) > 0


def spots(image: Image) -> tuple[Image, Mask]:
    """Draw dust: twelve black spots of 100 µm."""
    height, width = image.shape[:2]
    rng, mask = np.random.default_rng(0), np.zeros((height, width), np.uint8)
    for x, y in rng.uniform((0.1, 0.1), (0.9, 0.9), (12, 2)):
        cv2.circle(mask, (int(x * width), int(y * height)), round(50 / UM), 1, cv2.FILLED)
    drawn = image.copy()
    drawn[mask > 0] = (20, 20, 22)
    return drawn, mask > 0


def tissue_of(image: Image, um: float) -> Mask:
    """Return where tissue is, with the gaps in it."""
    saturation = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1], (0, 0), max(0.6, 24 / um))
    return np.asarray(saturation > 15)


def share(found: Mask, among: Mask) -> float:
    """Return the part of ``among`` that is found; NaN where there is none."""
    return float(found[among].mean()) if among.any() else float("nan")


def any_kind(image: Image) -> Mask:
    """Return where an image of 8 µm per pixel shows any artefact."""
    return np.any(list(artefacts.of_image(image, UM).values()), axis=0)


def measure(slide: Slide) -> dict[str, float]:
    """Return recall of each artefact and loss on one slide."""
    mpp = artefacts.USUAL_MPP if slide.info.mpp is None else float(np.mean(slide.info.mpp))
    image, _ = slide.read_image(downsample=UM / mpp)
    tissue = tissue_of(image, UM)
    draws: dict[str, Callable[[Image], tuple[Image, Mask]]] = {
        f"recall, {name} pen": lambda image, colour=colour: pen(image, colour) for name, colour in PENS.items()
    }
    draws |= {"recall, fold": fold, "recall, air bubble": bubble, "recall, dark spots": spots}
    found: dict[str, float] = {}
    for name, draw in draws.items():
        drawn, mask = draw(image)
        found[name] = share(any_kind(drawn), mask & tissue)
    fine, _ = blur.read_sharp(slide, max(1.0, blur.UM_PER_PIXEL / mpp))
    cells = tissue_cells(tissue_of(fine, blur.UM_PER_PIXEL))
    for sigma in BLURS_UM:
        soft = cv2.GaussianBlur(fine, (0, 0), sigma / blur.UM_PER_PIXEL)
        found[f"recall, blur of {sigma:g} µm"] = share(blur.blurred_cells(np.asarray(soft, dtype=np.uint8)), cells)
    kinds = artefacts.of_image(image, UM)
    found |= {f"loss, {name}": share(mask, tissue) for name, mask in kinds.items()}
    found["loss, blur"] = share(blur.blurred_cells(fine), cells)
    return found


def tissue_cells(tissue: Mask) -> Mask:
    """Return the cells of the sharpness that are mostly tissue."""
    side = blur.CELL
    rows, columns = tissue.shape[0] // side, tissue.shape[1] // side
    cut = tissue[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(cut.mean(axis=(1, 3)) > 0.5)
