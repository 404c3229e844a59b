"""Drawn tissue whose nested parts are known exactly: lumens in glands, glands in islands, islands in pieces.

An image is a plan (numbers that say what lies where) and two amounts of stain. Stroma and epithelium borrow the
texture of real tissue; glands are cells of a warped Voronoi diagram with a row of nuclei, goblets and a lumen.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from textures import Textures

from sam_mil_engine.synthetic.noise import fractal_noise, smooth_noise

Field = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]
#: Side of an image, and of the maps of its truth.
SIDE, TRUTH = 512, 256
#: Haematoxylin and eosin in R, G, B (Ruifrok and Johnston 2001).
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]], dtype=np.float32)
_LARGEST_NUCLEUS = 8.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """An image (side, side, 3) uint8 and its truth (4, 256, 256) uint8.

    The maps number parts (lumens), objects (glands, and the stroma between), regions (islands, and the rest) and
    pieces; 0 is nothing. Along a pixel each holds the one before.
    """

    rgb: npt.NDArray[np.uint8]
    truth: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Glands:
    """Which gland a pixel is nearest to (side, side), its depth in it (below 0 outside), and their scale."""

    number: Numbers
    depth: Field
    spacing: float
    ring: float


@dataclass(frozen=True, slots=True)
class _Canvas:
    """What is drawn on: stain (side, side, 2), and the maps of the truth at full size."""

    stain: Field
    parts: Numbers
    objects: Numbers
    regions: Numbers


def draw(rng: np.random.Generator, textures: Textures) -> Drawn:
    """Draw one image."""
    whole = rng.random() < 0.65
    pieces = np.ones((SIDE, SIDE), np.int32) if whole else _pieces(rng)
    islands = _islands(rng, pieces > 0, share=0.45 if whole else 0.7)
    canvas = _Canvas(
        np.zeros((SIDE, SIDE, 2), dtype=np.float32),
        np.zeros((SIDE, SIDE), np.int32),
        np.zeros((SIDE, SIDE), np.int32),
        np.where(islands > 0, islands + 40, pieces),
    )
    zones = [pieces > 0] if not islands.any() else [(pieces > 0) & (islands == 0), islands > 0]
    spacings = (24.0, 200.0) if whole else (14.0, 60.0)
    for order, zone in enumerate(zones):
        solid = len(zones) > 1 and rng.random() < 0.2
        _fill(rng, textures, zone, canvas, spacings=spacings, solid=solid, first=60 + 95 * order)
    if rng.random() < 0.25:
        _tears(rng, canvas.stain)
    stain = canvas.stain * (pieces > 0)[..., None]
    truth = np.stack([canvas.parts, canvas.objects, canvas.regions, pieces])
    # a pixel of the truth is 2 x 2 of the image
    return Drawn(develop(rng, stain), np.ascontiguousarray(truth[:, 1::2, 1::2].astype(np.uint8)))


def _components(mask: npt.NDArray[np.bool_], smallest: int, most: int) -> Numbers:
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    order = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= smallest]
    order = sorted(order, key=lambda k: -int(stats[k, cv2.CC_STAT_AREA]))[:most]
    lookup = np.zeros(count, np.int32)
    lookup[order] = np.arange(1, len(order) + 1)
    found: Numbers = lookup[numbers]
    return found


def _pieces(rng: np.random.Generator) -> Numbers:
    noise = fractal_noise(rng, (SIDE, SIDE), scale=float(rng.uniform(90, 260)), octaves=4)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    edge = np.maximum(np.abs(x), np.abs(y)) ** 4 * 2.5
    found = _components(noise - edge > rng.uniform(-0.9, 0.1), 2500, 5)
    if not found.any():
        found = (x**2 + y**2 < 0.6).astype(np.int32)
    return found


def _islands(rng: np.random.Generator, inside: npt.NDArray[np.bool_], *, share: float) -> Numbers:
    if rng.random() > share:
        return np.zeros((SIDE, SIDE), np.int32)
    scale = float(np.exp(rng.uniform(np.log(50), np.log(220))))
    noise = fractal_noise(rng, (SIDE, SIDE), scale=scale, octaves=int(rng.integers(1, 4)))
    threshold = float(np.quantile(noise[inside], rng.uniform(0.4, 0.93)))
    return _components((noise > threshold) & inside, 900, 12)


def _fill(
    rng: np.random.Generator,
    textures: Textures,
    zone: npt.NDArray[np.bool_],
    canvas: _Canvas,
    *,
    spacings: tuple[float, float],
    solid: bool,
    first: int,
) -> None:
    """Draw stroma, cells and glands of one kind of tissue, and number what was drawn."""
    stain, objects = canvas.stain, canvas.objects
    ground = _stroma(rng, textures)
    nucleus = float(rng.uniform(2.0, 6.0))
    if rng.random() < 0.7:
        _nuclei(rng, ground, _everywhere(rng, nucleus * rng.uniform(2.0, 5.0)), nucleus, rng.uniform(1.0, 3.0))
    stain[zone] = ground[zone]
    objects[zone] = canvas.regions[zone]
    if solid:
        stain[zone] = textures.field(rng, SIDE)[zone]
        return
    glands = _glands(rng, zone, spacings)
    filled = zone & (glands.depth > 0)
    epithelium = _epithelium(rng, textures, glands)
    soft = np.clip(glands.depth + 0.5, 0, 1)[..., None]
    mixed = stain * (1 - soft) + epithelium * soft
    if rng.random() < 0.3:
        cleft = (glands.depth > -rng.uniform(0.02, 0.08) * glands.spacing - 1) & (glands.depth < 0)
        mixed[cleft] *= np.float32(rng.uniform(0.05, 0.5))
    stain[zone] = mixed[zone]
    # what lies in two regions is two things: else it would be nested in neither
    by_region = (glands.number + 1) * 256 + canvas.regions
    numbers = _renumbered(np.where(filled, by_region, 0), start=first, smallest=80)
    objects[numbers > 0] = numbers[numbers > 0]
    lumen = filled & (glands.depth > glands.ring) & (numbers > 0)
    lumens = np.where(lumen, numbers, 0)
    canvas.parts[lumens > 0] = lumens[lumens > 0]


def _stroma(rng: np.random.Generator, textures: Textures) -> Field:
    """Stain (side, side, 2) of what lies between glands: fibres along bent lines, or real dermis."""
    if rng.random() < 0.3:
        ground = textures.field(rng, SIDE, stroma=True) * rng.uniform((0.3, 0.5), (1.0, 1.2)).astype(np.float32)
        mixed: Field = ground + rng.uniform((0.0, 0.05), (0.2, 0.3)).astype(np.float32)
        return mixed
    long, thick = rng.uniform(15, 80), rng.uniform(2.0, 8.0)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    bend, scale = rng.uniform(5, 60), float(rng.uniform(60, 250))
    x += smooth_noise(rng, (SIDE, SIDE), scale=scale) * np.float32(bend)
    y += smooth_noise(rng, (SIDE, SIDE), scale=scale) * np.float32(bend)
    turn = rng.uniform(0, np.pi)
    u, v = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    knots = rng.standard_normal((256, 256), dtype=np.float32)
    fibres = cv2.remap(
        knots,
        np.mod(u / long, 256).astype(np.float32),
        np.mod(v / thick, 256).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    eosin = rng.uniform(0.2, 0.8) * (1 + rng.uniform(0.05, 0.6) * fibres)
    haematoxylin = rng.uniform(0.0, 0.25) * (1 + 0.2 * smooth_noise(rng, (SIDE, SIDE), scale=20.0))
    stain = np.stack([haematoxylin, eosin], axis=-1).astype(np.float32)
    return np.clip(stain, 0, None)


def _renumbered(numbers: Numbers, *, start: int, smallest: int) -> Numbers:
    """Give what is at least so large a number from ``start``: the 95 largest where there are more."""
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    order = np.argsort(-sizes)[:95]
    order = order[sizes[order] >= smallest]
    lookup = np.zeros(len(sizes), np.int32)
    lookup[order] = start + np.arange(len(order))
    found: Numbers = lookup[numbers]
    return found


def _glands(rng: np.random.Generator, zone: npt.NDArray[np.bool_], spacings: tuple[float, float]) -> _Glands:
    """Cells of a Voronoi diagram in coordinates that are turned, stretched and warped."""
    spacing = float(np.exp(rng.uniform(*np.log(spacings))))
    half = SIDE // 2
    y, x = np.mgrid[0:half, 0:half].astype(np.float32) * 2
    warp = spacing * rng.uniform(0.02, 0.22)
    scale = max(spacing * rng.uniform(0.4, 1.5) / 2, 4.0)
    x += smooth_noise(rng, (half, half), scale=scale) * np.float32(warp)
    y += smooth_noise(rng, (half, half), scale=scale) * np.float32(warp)
    turn, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(0, np.log(2.4)) * (rng.random() < 0.6))
    u = (x * np.cos(turn) + y * np.sin(turn)) / np.sqrt(stretch)
    v = (-x * np.sin(turn) + y * np.cos(turn)) * np.sqrt(stretch)
    low, high = (u.min(), v.min()), (u.max(), v.max())
    grid = np.stack(np.meshgrid(np.arange(low[0], high[0] + spacing, spacing),
                                np.arange(low[1], high[1] + spacing, spacing)), axis=-1).reshape(-1, 2)  # fmt: skip
    grid = grid + rng.uniform(-0.42, 0.42, grid.shape) * spacing
    near, index = cKDTree(grid).query(np.stack([u.ravel(), v.ravel()], axis=1), k=2)
    kept = rng.random(len(grid)) < rng.uniform(0.35, 1.0)
    gap = spacing * rng.uniform(0.02, 0.16) + 0.7
    radius = spacing * rng.uniform(0.33, 0.75, len(grid)) * np.exp(rng.normal(0, 0.15, len(grid)))
    first = index[:, 0]
    depth = np.minimum((near[:, 1] - near[:, 0]) / 2 - gap, radius[first] - near[:, 0])
    depth = np.where(kept[first], depth, -0.2 * spacing).astype(np.float32).reshape(half, half)
    # rounds the corners of the cells
    depth = cv2.GaussianBlur(depth, (0, 0), float(max(spacing * rng.uniform(0.02, 0.06), 0.5)))
    number = cv2.resize(first.astype(np.float32).reshape(half, half), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    depth = cv2.resize(depth, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    ring = spacing * rng.uniform(0.1, 0.38) if rng.random() < 0.75 else 2 * spacing
    return _Glands(number.astype(np.int32), np.where(zone, depth, -1).astype(np.float32), spacing, float(ring))


def _epithelium(rng: np.random.Generator, textures: Textures, glands: _Glands) -> Field:
    """Stain (side, side, 2) of the glands' inside, from the basal nuclei to the lumen."""
    base = rng.uniform((0.05, 0.15), (0.4, 0.6)).astype(np.float32)
    # half of them are pale cytoplasm with nuclei along its foot, the others densely cellular
    most = (0.3, 0.3) if rng.random() < 0.5 else (1.2, 0.9)
    cells = base + textures.field(rng, SIDE) * rng.uniform((0.05, 0.05), most).astype(np.float32)
    ring = min(glands.ring, 0.5 * glands.spacing)
    nucleus = float(np.clip(ring * rng.uniform(0.15, 0.5), 1.2, _LARGEST_NUCLEUS))
    if rng.random() < 0.5:  # goblets: pale drops between nuclei and lumen
        seeds = _everywhere(rng, max(ring * rng.uniform(0.3, 0.7), 3.0))
        _blobs(rng, cells, _within(seeds, glands.depth, 0.35 * ring, 2 * ring), rng.uniform(0.12, 0.3) * ring)
    if rng.random() < 0.85:
        layers = rng.uniform(0.8, 3.0)
        seeds = _everywhere(rng, nucleus * rng.uniform(1.6, 2.6))
        seeds = _within(seeds, glands.depth, 0.4 * nucleus, 0.6 * nucleus + layers * nucleus)
        _nuclei(rng, cells, seeds, nucleus, rng.uniform(1.0, 2.2), across=glands.depth)
    inside = np.clip(glands.depth - glands.ring + 0.5, 0, 1)[..., None]
    if rng.random() < 0.75:
        content = rng.uniform((0.0, 0.0), (0.22, 0.12)).astype(np.float32) * np.ones_like(cells)
    else:  # necrosis and debris
        content = textures.field(rng, SIDE) * rng.uniform((0.1, 0.3), (0.5, 1.0)).astype(np.float32)
    mixed: Field = cells * (1 - inside) + content * inside
    return mixed


def _everywhere(rng: np.random.Generator, pitch: float) -> npt.NDArray[np.float64]:
    """(n, 2) x, y on a shaken grid."""
    pitch = max(pitch, 4.5)
    axis = np.arange(0, SIDE, pitch)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return np.clip(grid + rng.uniform(-0.5, 0.5, grid.shape) * pitch, 0, SIDE - 1)


def _within(seeds: npt.NDArray[np.float64], depth: Field, low: float, high: float) -> npt.NDArray[np.float64]:
    x, y = seeds.astype(int).T
    return seeds[(depth[y, x] > low) & (depth[y, x] < high)]


def _nuclei(
    rng: np.random.Generator,
    stain: Field,
    seeds: npt.NDArray[np.float64],
    size: float,
    long: float,
    *,
    across: Field | None = None,
) -> None:
    """Draw dark ellipses; those of glands stand upright on the outline, others along a slowly turning direction."""
    x, y = seeds.astype(int).T
    if across is None:
        angle = smooth_noise(rng, (SIDE, SIDE), scale=float(rng.uniform(60, 300)))[y, x] * 90
    else:
        step = 2
        dx = across[y, np.minimum(x + step, SIDE - 1)] - across[y, np.maximum(x - step, 0)]
        dy = across[np.minimum(y + step, SIDE - 1), x] - across[np.maximum(y - step, 0), x]
        angle = np.degrees(np.arctan2(dy, dx))
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    strong = rng.uniform(120, 255, len(seeds)).astype(int).tolist()
    radii = size / 2 * np.exp(rng.normal(0, 0.18, len(seeds)))
    for (px, py), r, a, s in zip(
        (seeds * 8).astype(int).tolist(), radii.tolist(), angle.tolist(), strong, strict=True
    ):
        cv2.ellipse(drawn, ((px / 8, py / 8), (2 * r * long**0.5, 2 * r / long**0.5), a), s, -1)
    cover = cv2.GaussianBlur(drawn, (0, 0), 0.7).astype(np.float32)[..., None] / 255
    nuclear = np.array([rng.uniform(0.7, 1.5), rng.uniform(0.0, 0.4)], dtype=np.float32)
    stain[:] = stain * (1 - 0.8 * cover) + nuclear * cover


def _blobs(rng: np.random.Generator, stain: Field, seeds: npt.NDArray[np.float64], radius: float) -> None:
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    for px, py in seeds.astype(int).tolist():
        cv2.circle(drawn, (px, py), max(1, round(radius * float(np.exp(rng.normal(0, 0.2))))), 255, -1)
    cover = cv2.GaussianBlur(drawn, (0, 0), 0.8).astype(np.float32)[..., None] / 255
    stain *= 1 - cover * np.float32(rng.uniform(0.6, 0.95))


def _tears(rng: np.random.Generator, stain: Field) -> None:
    """White clefts and vessels: no part of the truth, as a pathologist would not outline them."""
    noise = np.abs(smooth_noise(rng, (SIDE, SIDE), scale=float(rng.uniform(30, 120))))
    stain *= np.clip(noise / rng.uniform(0.02, 0.10), 0.05, 1)[..., None].astype(np.float32)


def develop(rng: np.random.Generator, stain: Field) -> npt.NDArray[np.uint8]:
    """Stain amounts -> RGB: hue, strength, shading, focus, grain and compression of one laboratory and scanner."""
    vectors = np.clip(_STAINS + rng.normal(0, 0.07, (2, 3)), 0.02, None)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    strength = np.array([rng.uniform(0.35, 0.95), rng.uniform(0.25, 0.75)])
    density = stain @ (vectors * strength[:, None]).astype(np.float32)
    shading = 1 + rng.uniform(0, 0.25) * smooth_noise(rng, (SIDE, SIDE), scale=float(rng.uniform(80, 400)))
    density *= np.clip(shading, 0.3, 2)[..., None]
    glass = np.float32(rng.uniform(228, 252)) + rng.normal(0, 2, 3).astype(np.float32)
    picture = glass * np.power(np.float32(10), -density)
    picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 1.3)))
    picture += rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(rng.uniform(0.5, 4))
    rgb = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 96))]
        rgb = cv2.imdecode(cv2.imencode(".jpg", rgb, quality)[1], cv2.IMREAD_COLOR)
    return rgb
