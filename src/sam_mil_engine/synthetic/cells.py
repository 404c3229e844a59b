"""Draw cells on the canvas: glands, vessels, fat, and the nuclei of everything."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from shapely import Polygon

from .canvas import MARGIN, Bytes, Canvas
from .layout import COARSE, Gland, depth, jittered_grid
from .noise import Points, smooth_noise
from .sprites import TURNS, library

_SHIFT = 3
Value = TypeVar("Value", bound=np.generic)


def populate(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draw every cell; what comes later lies on top."""
    _fibroblasts(rng, canvas)
    _fat_cells(rng, canvas)
    for gland in canvas.layout.glands:
        _draw_gland(rng, canvas, gland)
    for vessel in canvas.layout.vessels:
        _draw_vessel(rng, canvas, vessel)
    _lymphocytes(rng, canvas)
    _tumour_cells(rng, canvas)


def stamp(
    rng: np.random.Generator, canvas: Canvas, kind: str, points: Points, angles: npt.NDArray[np.floating]
) -> None:
    """Stamp nuclei of ``kind`` at points (n, 2), long axes along ``angles`` (n,) in radians."""
    shapes = library(kind, canvas.layout.mpp)
    turns = np.rint(np.asarray(angles) / np.pi * TURNS).astype(int) % TURNS
    which = rng.integers(len(shapes), size=len(points))
    corner = np.rint(points).astype(int) + MARGIN
    nuclei = canvas.nuclei
    for (x, y), shape, turn in zip(corner.tolist(), which.tolist(), turns.tolist(), strict=True):
        sprite = shapes[shape][turn]
        half = sprite.shape[0] // 2
        view = nuclei[y - half : y + half + 1, x - half : x + half + 1]
        np.maximum(view, sprite, out=view)


def _at(coarse: npt.NDArray[Value], points: Points) -> npt.NDArray[Value]:
    """Values of a coarse map (height, width) at level-0 points (n, 2)."""
    column, row = (points // COARSE).astype(int).T
    found: npt.NDArray[Value] = coarse[
        np.minimum(row, coarse.shape[0] - 1), np.minimum(column, coarse.shape[1] - 1)
    ]
    return found


def _fill(image: Bytes, outline: Points, value: int) -> None:
    points = np.rint((outline + MARGIN) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(image, [points], value, lineType=cv2.LINE_AA, shift=_SHIFT)


def _dot(
    image: Bytes, centre: npt.NDArray[np.float64], axes: tuple[float, float], angle: float, value: int
) -> None:
    scale = 2**_SHIFT
    middle = tuple(int(v) for v in np.rint((centre + MARGIN) * scale))
    size = tuple(max(int(axis * scale), 1) for axis in axes)
    cv2.ellipse(image, middle, size, angle, 0, 360, value, -1, cv2.LINE_AA, _SHIFT)


def _fibroblasts(rng: np.random.Generator, canvas: Canvas) -> None:
    """Spindle nuclei along the fibres."""
    layout = canvas.layout
    points = jittered_grid(rng, layout.size, 19 / layout.mpp, jitter=0.45)
    stroma = layout.tissue_mask & ~layout.lymphoid_mask & ~canvas.nests & ~layout.fat_mask
    stroma &= depth(layout.tissue_mask) > 8 / layout.mpp / COARSE
    points = points[_at(stroma, points) & (rng.random(len(points)) < 0.62)]
    stamp(rng, canvas, "fibroblast", points, _at(canvas.fibres, points) + rng.normal(0, 0.18, len(points)))


def _fat_cells(rng: np.random.Generator, canvas: Canvas) -> None:
    """Empty cells with thin walls, pressed against each other."""
    layout, unit = canvas.layout, 1 / canvas.layout.mpp
    fat = depth(layout.fat_mask) * (COARSE * layout.mpp)
    room = (fat > 20) & (depth(layout.tissue_mask) * (COARSE * layout.mpp) > 38)
    points = jittered_grid(rng, layout.size, 56 * unit, jitter=0.22)
    if not room.any():
        return
    diagram = cv2.Subdiv2D((-1, -1, layout.size[0] + 2, layout.size[1] + 2))
    diagram.insert(points.astype(np.float32).tolist())
    cells, centres = diagram.getVoronoiFacetList([])
    for cell, wanted in zip(cells, _at(room, np.asarray(centres)), strict=True):
        soft = Polygon(cell).buffer(-9 * unit).buffer(7.6 * unit) if wanted else None
        if isinstance(soft, Polygon) and not soft.is_empty:
            for image in (canvas.eosin, canvas.haematoxylin, canvas.nuclei):
                _fill(image, shapely.get_coordinates(soft.exterior), 0)


def _draw_gland(rng: np.random.Generator, canvas: Canvas, gland: Gland) -> None:
    """Epithelium with nuclei at its base, goblet cells towards the lumen, a lumen with a trace of mucus."""
    mpp, centre = canvas.layout.mpp, np.asarray(gland.centre)
    reach = gland.outer - centre
    membrane = centre + reach * (1 + 2.2 / mpp / np.hypot(*reach.T))[:, None]
    _fill(canvas.eosin, membrane, 70)
    _fill(canvas.eosin, gland.outer, 50)
    _fill(canvas.haematoxylin, gland.outer, 18)
    _fill(canvas.nuclei, gland.outer, 0)
    step = np.hypot(*np.diff(gland.outer, axis=0, append=gland.outer[:1]).T)
    length = np.concatenate([[0.0], np.cumsum(step)])
    closed = np.concatenate([gland.outer, gland.outer[:1]])

    def around(spacing: float) -> Points:
        """Points on the outline about ``spacing`` µm apart."""
        places = np.arange(0, length[-1] - spacing / mpp / 2, spacing / mpp)
        places = places + rng.uniform(-0.2, 0.2, len(places)) * spacing / mpp
        return np.stack([np.interp(places % length[-1], length, closed[:, axis]) for axis in (0, 1)], axis=1)

    for point in around(9.0):
        radius = float(np.hypot(*(point - centre)))
        if rng.random() < 0.55:
            place = centre + (point - centre) * (1 - rng.uniform(13.0, 16.5) / mpp / radius)
            angle = float(np.degrees(np.arctan2(*(point - centre)[::-1])))
            axes = (rng.uniform(4.2, 6.0) / mpp, rng.uniform(2.8, 3.9) / mpp)
            _dot(canvas.eosin, place, axes, angle, int(rng.integers(12, 24)))
            _dot(canvas.haematoxylin, place, axes, angle, int(rng.integers(10, 20)))
    _fill(canvas.eosin, gland.lumen, int(rng.integers(2, 10)))
    _fill(canvas.haematoxylin, gland.lumen, int(rng.integers(0, 8)))
    basal = around(5.4)
    inward = centre - basal
    radius = np.hypot(*inward.T)
    basal = basal + inward * (rng.normal(6.4, 1.0, len(basal)) / mpp / radius)[:, None]
    stamp(
        rng, canvas, "epithelium", basal, np.arctan2(inward[:, 1], inward[:, 0]) + rng.normal(0, 0.12, len(basal))
    )


def _draw_vessel(rng: np.random.Generator, canvas: Canvas, vessel: Gland) -> None:
    """Draw a muscular wall, flat endothelial nuclei along it, red cells in the lumen."""
    mpp, centre = canvas.layout.mpp, np.asarray(vessel.centre)
    _fill(canvas.eosin, vessel.outer, 72)
    _fill(canvas.nuclei, vessel.outer, 0)
    for image in (canvas.eosin, canvas.haematoxylin):
        _fill(image, vessel.lumen, 2)
    reach = vessel.lumen - centre
    for _ in range(int(np.hypot(*reach.T).mean() ** 2 * mpp**2 / 14)):
        place = centre + reach[rng.integers(len(reach))] * np.sqrt(rng.uniform(0, 0.75))
        _dot(canvas.eosin, place, (3.3 / mpp, 3.0 / mpp), rng.uniform(0, 180), int(rng.integers(100, 125)))
    wall = (vessel.outer + 2 * vessel.lumen)[:: max(int(6 * mpp / 0.5), 1)] / 3
    along = np.arctan2(wall[:, 1] - centre[1], wall[:, 0] - centre[0]) + np.pi / 2
    stamp(rng, canvas, "fibroblast", wall, along)


def _lymphocytes(rng: np.random.Generator, canvas: Canvas) -> None:
    """Stamp aggregates packed with small dark nuclei, inflamed patches of stroma, and single cells everywhere."""
    layout, mpp = canvas.layout, canvas.layout.mpp
    coarse = layout.tissue_mask.shape[::-1]
    hot = smooth_noise(rng, coarse, scale=160 / mpp / COARSE) + rng.uniform(-0.8, 0.5)
    chance = 0.02 + 0.42 * np.clip(hot - 0.7, 0, 1)
    chance[canvas.nests] *= 0.12
    chance[layout.fat_mask] = 0
    chance[layout.lymphoid_mask] = 0.95
    # germinal centres: looser, in the middle of the larger aggregates
    chance[(depth(layout.lymphoid_mask) * COARSE * mpp > 75) & (hot > -0.5)] = 0.45
    chance[depth(layout.tissue_mask) < 4 / mpp / COARSE] = 0
    points = jittered_grid(rng, layout.size, 7.6 / mpp)
    points = points[rng.random(len(points)) < _at(chance, points)]
    points = points[
        (_at(canvas.inner(canvas.nuclei)[::COARSE, ::COARSE], points) < 40) & ~_in_glands(canvas, points)
    ]
    angles = rng.uniform(0, np.pi, len(points))
    plasma = (rng.random(len(points)) < 0.2) & ~_at(layout.lymphoid_mask, points)
    stamp(rng, canvas, "lymphocyte", points[~plasma], angles[~plasma])
    stamp(rng, canvas, "plasma", points[plasma], angles[plasma])


def _in_glands(canvas: Canvas, points: Points) -> npt.NDArray[np.bool_]:
    mask = np.zeros(canvas.layout.tissue_mask.shape, dtype=np.uint8)
    for gland in (*canvas.layout.glands, *canvas.layout.vessels):
        cv2.fillPoly(mask, [np.rint(gland.outer / COARSE).astype(np.int32)], 1)
    return _at(mask, points) > 0


def _tumour_cells(rng: np.random.Generator, canvas: Canvas) -> None:
    """Crowded, large, uneven nuclei in the nests."""
    layout, mpp = canvas.layout, canvas.layout.mpp
    points = jittered_grid(rng, layout.size, rng.uniform(12.2, 14.4) / mpp, jitter=0.24)
    room = depth(canvas.nests) * COARSE * mpp
    points = points[(_at(room, points) > 2.5) & (rng.random(len(points)) < 0.94)]
    stamp(rng, canvas, "tumour", points, rng.uniform(0, np.pi, len(points)))
