"""Where everything lies on a synthetic slide, before a pixel is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon

from .noise import Field, Points, closed_curve, fractal_noise

Mask = npt.NDArray[np.bool_]
#: Level-0 pixels in one pixel of the coarse maps.
COARSE = 4
#: Share of the tissue that tumour takes, drawn log-uniformly.
TUMOUR_SHARE = (0.05, 0.22)
#: Share of the tissue that lymphoid aggregates take, in both classes.
LYMPHOID_SHARE = (0.03, 0.26)


@dataclass(frozen=True, slots=True)
class Gland:
    """A gland or a vessel: two outlines (n, 2) in level-0 pixels, point by point on one ray from the centre."""

    outer: Points
    lumen: Points
    centre: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """The plan of a slide, in level-0 pixels; masks are coarse (``COARSE`` pixels to one).

    Attributes
    ----------
    size
        Width and height of the slide.
    mpp
        Micrometres per pixel.
    tissue, tumour
        Outlines of the tissue pieces and of the tumour islands, which lie inside them.
    tissue_mask, tumour_mask, lymphoid_mask, fat_mask
        The same and the other regions as coarse masks.
    glands, vessels
        What was placed between them.
    """

    size: tuple[int, int]
    mpp: float
    tissue: tuple[Polygon, ...]
    tumour: tuple[Polygon, ...]
    tissue_mask: Mask
    tumour_mask: Mask
    lymphoid_mask: Mask
    fat_mask: Mask
    glands: tuple[Gland, ...]
    vessels: tuple[Gland, ...]


def plan(rng: np.random.Generator, *, size: tuple[int, int], mpp: float, tumour: bool) -> Layout:
    """Lay out one slide; lengths are thought in µm, so that ``mpp`` changes the zoom and not the anatomy."""
    tissue = tissue_pieces(rng, size)
    tissue_mask = coarse_mask(tissue, size)
    islands = tumour_islands(rng, tissue, tissue_mask, mpp) if tumour else ()
    tumour_mask = coarse_mask(islands, size)
    free = tissue_mask & ~_grown(tumour_mask, 12 / mpp / COARSE)
    lymphoid_mask = _lymphoid(rng, free, mpp)
    free &= ~_grown(lymphoid_mask, 8 / mpp / COARSE)
    fat_mask = _fat(rng, free, mpp)
    free &= ~_grown(fat_mask, 10 / mpp / COARSE)
    glands = _glands(rng, free, mpp)
    free &= ~_grown(coarse_mask([Polygon(gland.outer) for gland in glands], size), 5 / mpp / COARSE)
    vessels = _vessels(rng, free, mpp)
    return Layout(
        size=size,
        mpp=mpp,
        tissue=tissue,
        tumour=islands,
        tissue_mask=tissue_mask,
        tumour_mask=tumour_mask,
        lymphoid_mask=lymphoid_mask,
        fat_mask=fat_mask,
        glands=glands,
        vessels=vessels,
    )


def coarse_mask(polygons: Sequence[Polygon], size: tuple[int, int]) -> Mask:
    """Polygons in level-0 pixels -> coarse mask (height, width)."""
    canvas = np.zeros((-(-size[1] // COARSE), -(-size[0] // COARSE)), dtype=np.uint8)
    for polygon in polygons:
        rings = [shapely.get_coordinates(ring) for ring in (polygon.exterior, *polygon.interiors)]
        cv2.fillPoly(canvas, [np.rint((ring / COARSE - 0.5) * 16).astype(np.int32) for ring in rings], 1, shift=4)
    return canvas.astype(bool)


def _grown(mask: Mask, pixels: float) -> Mask:
    if not mask.any():
        return mask
    return depth(~mask) <= pixels


def depth(mask: Mask) -> Field:
    """Distance of every coarse pixel inside the mask to its edge, in coarse pixels; 0 outside."""
    # the frame of one pixel makes the slide's edge an edge
    distance: Field = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return distance


def _parts(geometry: shapely.Geometry, *, smallest: float) -> tuple[Polygon, ...]:
    parts = geometry.geoms if isinstance(geometry, MultiPolygon) else [geometry]
    return tuple(part for part in parts if isinstance(part, Polygon) and part.area >= smallest)


def tissue_pieces(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Polygon, ...]:
    """Two to four pieces, each the union of a few wobbly blobs in its own field of a slide of (width, height)."""
    columns, rows = ((2, 1), (2, 2), (3, 1))[rng.integers(3)]
    if size[1] > size[0]:
        columns, rows = rows, columns
    width, height = size[0] / columns, size[1] / rows
    fields = [(column, row) for column in range(columns) for row in range(rows)]
    if len(fields) > 2 and rng.random() < 0.5:
        fields.pop(int(rng.integers(len(fields))))
    pieces = []
    for column, row in fields:
        gap = 0.04 * min(width, height)
        room = shapely.box(column * width, row * height, (column + 1) * width, (row + 1) * height).buffer(-gap)
        blobs = [
            Polygon(closed_curve(rng, tuple(rng.normal(0, 0.22, 2)), tuple(rng.uniform(0.5, 1.0, 2)), wobble=0.10))
            for _ in range(3)
        ]
        piece = shapely.union_all(blobs).buffer(-0.06).buffer(0.16).buffer(-0.10)
        piece = max(_parts(piece, smallest=0), key=lambda part: float(part.area))
        pieces.append(_fitted(piece, room, rng.uniform(0.84, 1.0, 2), rng.uniform(0, 1, 2)))
    return tuple(pieces)


def _fitted(piece: Polygon, room: Polygon, fill: Points, place: Points) -> Polygon:
    """Stretch a piece to take ``fill`` (2,) of the room's sides, at ``place`` (2,) of what is left."""
    points = shapely.get_coordinates(piece.exterior)
    low, high = np.array(room.bounds[:2]), np.array(room.bounds[2:])
    unit = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    stretched = low + (high - low) * (unit * fill + (1 - fill) * place)
    return Polygon(stretched).simplify(0.5)


def tumour_islands(
    rng: np.random.Generator,
    tissue: Sequence[Polygon],
    mask: Mask,
    mpp: float,
    *,
    share: tuple[float, float] = TUMOUR_SHARE,
) -> tuple[Polygon, ...]:
    """One to three tumour islands with a wavy front, scaled until they take what was drawn from ``share``.

    ``mask`` is the coarse mask of ``tissue``.
    """
    inner = shapely.union_all([piece.buffer(-8 / mpp) for piece in tissue])
    total = sum(float(piece.area) for piece in tissue)
    wanted = total * float(np.exp(rng.uniform(*np.log(share))))
    smallest_radius = 75 / mpp
    count = int(np.clip(rng.integers(1, 4), 1, max(1, wanted // (np.pi * smallest_radius**2))))
    parts = rng.dirichlet(np.full(count, 4.0))
    inside = depth(mask) * COARSE
    radii = np.sqrt(wanted * parts / np.pi)
    curves, centres = [], []
    for radius in radii:
        deep = np.argwhere(inside > min(0.8 * radius, 0.6 * float(inside.max())))
        centres.append(tuple(float(value) for value in (deep[rng.integers(len(deep))][::-1] + 0.5) * COARSE))
        stretch = np.exp(rng.normal(0, 0.2))
        curves.append(closed_curve(rng, (0.0, 0.0), (stretch, 1 / stretch), wobble=0.12, points=160))
    scale = 1.0
    islands: tuple[Polygon, ...] = ()
    for _ in range(8):
        drawn = [Polygon(c * r * scale + m) for c, r, m in zip(curves, radii, centres, strict=True)]
        merged = shapely.union_all(drawn).intersection(inner).buffer(-2 / mpp).buffer(2 / mpp)
        islands = _parts(merged.intersection(inner), smallest=2500 / mpp**2)
        area = sum(float(island.area) for island in islands)
        if area and abs(area / wanted - 1) < 0.05:
            break
        scale *= float(np.clip(np.sqrt(wanted / max(area, 1.0)), 0.7, 1.6))
    return tuple(Polygon(island.exterior) for island in islands)


def _lymphoid(rng: np.random.Generator, free: Mask, mpp: float) -> Mask:
    """Dense lymphoid aggregates: the benign dark areas that both classes have."""
    wanted = rng.uniform(*LYMPHOID_SHARE) * float(free.sum())
    mask = np.zeros_like(free)
    size = (free.shape[1] * COARSE, free.shape[0] * COARSE)
    places = np.argwhere(depth(free) * COARSE * mpp > 30)
    for _ in range(40 if len(places) else 0):
        if mask.sum() >= wanted:
            break
        y, x = (places[rng.integers(len(places))] + 0.5) * COARSE
        radius = rng.uniform(50, 190) / mpp
        curve = closed_curve(rng, (x, y), (radius, radius * rng.uniform(0.6, 1.0)), wobble=0.10)
        mask |= coarse_mask([Polygon(curve)], size) & free
    return mask


def _fat(rng: np.random.Generator, free: Mask, mpp: float) -> Mask:
    if rng.random() < 0.4 or not free.any():
        return np.zeros_like(free)
    field = fractal_noise(rng, free.shape[::-1], scale=480 / mpp / COARSE, octaves=2)
    return free & (field > np.quantile(field[free], rng.uniform(0.80, 0.93)))


def _glands(rng: np.random.Generator, free: Mask, mpp: float) -> tuple[Gland, ...]:
    """Round to oval glands, crowded in some parts of the tissue and absent in others."""
    if not free.any():
        return ()
    field = fractal_noise(rng, free.shape[::-1], scale=420 / mpp / COARSE)
    region = free & (field > np.quantile(field[free], rng.uniform(0.25, 0.6)))
    room = depth(free) * COARSE * mpp
    base = rng.uniform(36, 46)
    glands = []
    for x, y in jittered_grid(rng, (free.shape[1] * COARSE, free.shape[0] * COARSE), 2.1 * base / mpp, jitter=0.22):
        radius = base * rng.uniform(0.66, 1.02)
        row, column = int(y) // COARSE, int(x) // COARSE
        if region[row, column] and room[row, column] > 1.12 * radius:
            oval = rng.uniform(0.82, 1.0)
            open_share = rng.uniform(0.16, 0.42)
            glands.append(
                _ring(rng, (x, y), (radius / mpp, radius * oval / mpp), open_share=open_share, wobble=0.05)
            )
    return tuple(glands)


def _vessels(rng: np.random.Generator, free: Mask, mpp: float) -> tuple[Gland, ...]:
    places = np.argwhere(depth(free) * COARSE * mpp > 26)
    count = rng.poisson(5 * free.sum() * (COARSE * mpp / 1000) ** 2) if len(places) else 0
    taken, vessels = np.zeros_like(free), []
    for _ in range(count):
        row, column = places[rng.integers(len(places))]
        if taken[row, column]:
            continue
        cv2.circle(mark := taken.astype(np.uint8), (int(column), int(row)), int(60 / mpp / COARSE), 1, -1)
        taken = mark.astype(bool)
        centre = ((column + 0.5) * COARSE, (row + 0.5) * COARSE)
        radius = rng.uniform(9, 21) / mpp
        vessels.append(_ring(rng, centre, (radius, radius * rng.uniform(0.55, 0.9)), open_share=0.62, wobble=0.05))
    return tuple(vessels)


def _ring(
    rng: np.random.Generator,
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    open_share: float,
    wobble: float,
) -> Gland:
    outer = closed_curve(rng, centre, radii, wobble=wobble, points=64)
    ripple = 1 + 0.16 * np.cos(
        np.linspace(0, 2 * np.pi, 64, endpoint=False) * rng.integers(3, 7) + rng.uniform(0, 6)
    )
    lumen = np.asarray(centre) + (outer - centre) * (open_share * ripple)[:, None]
    return Gland(outer, lumen, (float(centre[0]), float(centre[1])))


def jittered_grid(
    rng: np.random.Generator, size: tuple[int, int], spacing: float, *, jitter: float = 0.28
) -> Points:
    """Points (n, 2) on a hexagonal grid inside (width, height), each moved by up to about ``jitter`` spacings."""
    step = spacing * np.sqrt(3) / 2
    x, y = np.meshgrid(np.arange(0, size[0] + spacing, spacing), np.arange(0, size[1] + step, step))
    x[1::2] += spacing / 2
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    points += rng.uniform(-jitter, jitter, points.shape) * spacing
    return points[((points >= 0) & (points < size)).all(axis=1)]
