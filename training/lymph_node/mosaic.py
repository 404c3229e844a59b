"""Compose one slide of lymph node from PatchCamelyon tiles, each in a cell of one grid: the patch is the tile.

Tissue is two to four pieces on glass. Normal tiles lie in zones of like kind, in proportions of the slide's own,
with tiles of all kinds strewn among them. Tumour is one to three foci, from three patches to half of the tissue;
which tile is where is known exactly. No stain is changed: a slide mixes tiles of many slides, of two hospitals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from shapely import Polygon
from tiles import CLASSES, KINDS, MPP, SIDE, TilePool

from sam_mil_engine.annotations.geojson import write_geojson
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.synthetic.layout import tissue_pieces
from sam_mil_engine.synthetic.noise import smooth_noise
from sam_mil_engine.synthetic.pyramid import write_pyramid

#: Tiles of tissue on a slide, drawn log-uniformly.
PATCHES = (150, 1500)
#: The least number of tumour tiles, and the largest share of the tissue; the size is drawn log-uniformly between.
LEAST_TUMOUR, MOST_TUMOUR = 3, 0.5
#: Share of a canvas that pieces of tissue take, about.
_FILL = 0.62
#: Cells over which zones change, and share of the cells that hold a tile of any kind.
_ZONE, _STREWN = 5.0, 0.2
_GLASS = 244

Cells = npt.NDArray[np.int64]


def compose_slide(
    work: Path,
    name: str,
    pools: Mapping[str, TilePool],
    *,
    tumour: bool,
    seed: int,
    patches: tuple[int, int] = PATCHES,
) -> dict[str, object]:
    """Write ``slides/NAME.tiff`` and, with tumour, ``annotations/NAME.geojson``; return its row of the table."""
    rng = np.random.default_rng(seed)
    columns, rows, piece = tissue_cells(rng, patches)
    cells = np.argwhere(piece >= 0)
    foci = tumour_foci(rng, cells, piece) if tumour else []
    tumour_cells = np.concatenate(foci) if foci else np.zeros((0, 2), dtype=np.int64)
    malignant = np.zeros((rows, columns), dtype=bool)
    malignant[tuple(tumour_cells.T)] = True
    canvas = rng.normal(_GLASS, 1.5, (rows * SIDE, columns * SIDE, 1)).clip(0, 255)
    canvas = np.repeat(canvas.astype(np.uint8), 3, axis=2)
    used: dict[str, set[str]] = {label: set() for label in CLASSES}
    kinds = tile_zones(rng, (columns, rows))
    next_tile = {label: TileDeck(rng, pool) for label, pool in pools.items()}
    for row, column in cells.tolist():
        label = CLASSES[int(malignant[row, column])]
        number = next_tile[label].draw(int(kinds[row, column]) if label == "normal" else None)
        tile = _turned(rng, pools[label].images[number])
        canvas[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = tile
        used[label].add(pools[label].names[number])
    said = {"composed": "tiles of PatchCamelyon (CC0), not a real slide", "mpp": MPP, "seed": seed,
            "tiles": {label: sorted(names) for label, names in used.items()}}  # fmt: skip
    path = work / "slides" / f"{name}.tiff"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pyramid(path, canvas, mpp=MPP, description=json.dumps(said), quality=95)
    if foci:
        outlines = [Annotation(f"tumour {k}", "tumour", part) for k, part in enumerate(_outlines(foci), start=1)]
        write_geojson(work / "annotations" / f"{name}.geojson", outlines, info=None)
    return {
        "slide_id": name,
        "label": CLASSES[tumour],
        "patches": len(cells),
        "tumour_patches": len(tumour_cells),
        "tumour_share": round(len(tumour_cells) / len(cells), 4),
    }


def tissue_cells(rng: np.random.Generator, patches: tuple[int, int]) -> tuple[int, int, Cells]:
    """Columns and rows of the grid, and the piece of tissue of every cell (rows, columns), -1 for glass."""
    wanted = np.exp(rng.uniform(*np.log(patches)))
    aspect = rng.uniform(1.0, 1.6)
    columns, rows = (int(np.ceil(np.sqrt(wanted / _FILL * a))) + 1 for a in (aspect, 1 / aspect))
    polygons = tissue_pieces(rng, (columns * SIDE, rows * SIDE))
    y, x = np.mgrid[0:rows, 0:columns]
    piece = np.full((rows, columns), -1, dtype=np.int64)
    for number, polygon in enumerate(polygons):
        inside = shapely.contains_xy(polygon, ((x + 0.5) * SIDE).ravel(), ((y + 0.5) * SIDE).ravel())
        piece[inside.reshape(rows, columns)] = number
    return columns, rows, piece


def tumour_foci(rng: np.random.Generator, cells: Cells, piece: Cells, *, least: int = LEAST_TUMOUR) -> list[Cells]:
    """Cells (n, 2) of each focus: those nearest to a centre of its own, along a wavy front, within one piece.

    All foci together have ``least`` cells at least.
    """
    most = max(int(MOST_TUMOUR * len(cells)), least)
    total = round(float(np.exp(rng.uniform(np.log(least), np.log(most)))))
    count = int(np.clip(rng.integers(1, 4), 1, max(1, total // 10)))
    parts = np.maximum(np.rint(rng.dirichlet(np.full(count, 3.0)) * total), LEAST_TUMOUR).astype(int)
    wave = smooth_noise(rng, (piece.shape[1], piece.shape[0]), scale=4.0)
    free = piece.copy()
    foci = []
    for size in parts.tolist():
        available = np.argwhere(free >= 0)
        centre = available[rng.integers(len(available))]
        own = available[free[tuple(available.T)] == free[tuple(centre)]]
        distance = np.hypot(*(own - centre).T) * (1 + 0.2 * wave[tuple(own.T)])
        focus = own[np.argsort(distance, kind="stable")[:size]]
        free[tuple(focus.T)] = -1
        foci.append(focus)
    return foci


def _outlines(foci: list[Cells]) -> Iterator[Polygon]:
    """Yield the connected parts of the cells of all foci, in pixels."""
    boxes = [shapely.box(x * SIDE, y * SIDE, (x + 1) * SIDE, (y + 1) * SIDE) for focus in foci for y, x in focus]
    yield from shapely.get_parts(shapely.union_all(boxes))


def tile_zones(rng: np.random.Generator, size: tuple[int, int]) -> Cells:
    """Kind of normal tile of every cell (rows, columns): zones whose shares of the slide are drawn."""
    share = rng.dirichlet(np.full(KINDS, 1.0))
    fields = np.stack([smooth_noise(rng, size, scale=_ZONE) for _ in range(KINDS)])
    kinds = (fields + np.log(share + 0.02)[:, None, None]).argmax(axis=0)
    strewn = rng.random(kinds.shape) < _STREWN
    kinds[strewn] = rng.integers(KINDS, size=int(strewn.sum()))
    return kinds.astype(np.int64)


class TileDeck:
    """Tiles in random order, each as often as any other of its kind."""

    def __init__(self, rng: np.random.Generator, pool: TilePool):
        self._rng = rng
        self._numbers = {kind: np.flatnonzero(pool.kinds == kind) for kind in range(KINDS)}
        self._numbers[-1] = np.arange(len(pool.kinds))
        self._left: dict[int, list[int]] = {}

    def draw(self, kind: int | None) -> int:
        """Return the number of a tile of this kind, of any where there is none or ``kind`` is None."""
        key = -1 if kind is None or not len(self._numbers[kind]) else kind
        if not self._left.get(key):
            self._left[key] = self._rng.permutation(self._numbers[key]).tolist()
        return self._left[key].pop()


def _turned(rng: np.random.Generator, tile: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Turn by a multiple of 90 degrees and perhaps mirror."""
    turned = np.rot90(tile, int(rng.integers(4)))
    return turned[:, ::-1] if rng.integers(2) else turned
