"""Composites of PCam tiles: areas of tumour, lymphocytes, fat and stroma whose borders are known exactly.

Each area is quilted from tiles of one class that look alike, as amounts of stain, at one scale for all; the whole
gets new stains, so that hue and shading do not tell the areas apart.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from drawing import SIDE, Drawn, develop

from sam_mil_engine.synthetic.noise import fractal_noise

Field = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int32]
#: Haematoxylin and eosin in R, G, B (Ruifrok and Johnston 2001), and the brightness of glass.
_STAINS, _GLASS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]]), 245.0
_TILE = 96
#: Tiles that look alike enough to fill one area.
_ALIKE = 40
#: Difference of two areas' looks that can be seen, and how many tiles are tried for it.
_UNLIKE, _TRIED = 0.35, 12


class Tiles:
    """Tiles of one part of PCam, by class.

    Parameters
    ----------
    path
        ``pcam.zip``.
    part
        ``train`` or ``valid``; the official parts share no slide.
    most
        Tiles of each class.
    """

    def __init__(self, path: Path, *, part: str, most: int | None = None):
        with zipfile.ZipFile(path) as kept:
            names = sorted(name for name in kept.namelist() if name.startswith(f"{part}/"))
            classes = [[name for name in names if name.startswith(f"{part}/{k}/")][:most] for k in (0, 1)]
            self.rgb = [np.stack([_decode(kept, name) for name in some]) for some in classes]
        self.looks = [np.stack([_look(tile) for tile in tiles]) for tiles in self.rgb]

    def alike(self, rng: np.random.Generator, kind: int, others: list[Field]) -> npt.NDArray[np.uint8]:
        """Tiles (n, 96, 96, 3) of a class that look like one drawn tile of it, which is unlike ``others``.

        The drawn tile's look is added to ``others``.
        """
        looks = self.looks[kind]
        drawn = looks[rng.integers(len(looks), size=_TRIED)]
        unlike = [min((float(np.abs(look - other).sum()) for other in others), default=np.inf) for look in drawn]
        chosen = drawn[next((k for k, value in enumerate(unlike) if value > _UNLIKE), int(np.argmax(unlike)))]
        others.append(chosen)
        order = np.argsort(np.abs(looks - chosen).sum(axis=1))
        found: npt.NDArray[np.uint8] = self.rgb[kind][order[: int(rng.integers(3, _ALIKE))]]
        return found


def _decode(kept: zipfile.ZipFile, name: str) -> npt.NDArray[np.uint8]:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(kept.read(name), np.uint8), 1), cv2.COLOR_BGR2RGB)


def _amounts(rgb: npt.NDArray[np.uint8]) -> Field:
    table = -np.log10(np.clip(np.arange(256) / _GLASS, 1 / 255, 1)).astype(np.float32)
    inverse = np.linalg.pinv(_STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True)).astype(np.float32)
    found: Field = np.clip(table[rgb] @ inverse, 0, None) * np.float32(1.6)
    return found


def _look(tile: npt.NDArray[np.uint8]) -> Field:
    """Mean and deviation of both stains."""
    amounts = _amounts(tile).reshape(-1, 2)
    found: Field = np.concatenate([amounts.mean(axis=0), amounts.std(axis=0)])
    return found


def compose(rng: np.random.Generator, tiles: Tiles) -> tuple[Drawn, npt.NDArray[np.bool_]]:
    """One composite, and where its tumour is (side, side).

    Its truth knows objects (areas of one look) and regions (of one class), no parts.
    """
    tumour = _partition(rng, scale=float(np.exp(rng.uniform(np.log(40), np.log(260)))), kinds=2)
    looks = _partition(
        rng, scale=float(np.exp(rng.uniform(np.log(30), np.log(200)))), kinds=int(rng.integers(1, 4))
    )
    areas = looks * 2 + tumour
    zoom = _between(rng, 0.4, 2.2)
    stain = np.zeros((SIDE, SIDE, 2), dtype=np.float32)
    total = np.zeros((SIDE, SIDE, 1), dtype=np.float32)
    soft = float(rng.uniform(0.6, 4.0))
    used: list[Field] = []
    for area in np.unique(areas).tolist():
        share = cv2.GaussianBlur((areas == area).astype(np.float32), (0, 0), soft)[..., None]
        stain += share * _quilt(rng, tiles.alike(rng, area % 2, used), zoom)
        total += share
    regions = _numbered(tumour, smallest=900)
    objects = np.where(regions > 0, _numbered(areas, smallest=300), 0) if looks.any() else regions
    truth = np.stack([np.zeros_like(objects), objects, regions, np.ones_like(objects)])
    drawn = Drawn(develop(rng, stain / total), np.ascontiguousarray(truth[:, 1::2, 1::2].astype(np.uint8)))
    return drawn, tumour > 0


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _partition(rng: np.random.Generator, *, scale: float, kinds: int) -> Numbers:
    """(side, side) numbers 0..kinds-1 of smooth zones."""
    fields = [
        fractal_noise(rng, (SIDE, SIDE), scale=scale, octaves=int(rng.integers(1, 4))) + rng.uniform(-0.4, 0.4)
        for _ in range(kinds)
    ]
    found: Numbers = np.argmax(fields, axis=0).astype(np.int32)
    return found


def _numbered(areas: Numbers, *, smallest: int) -> Numbers:
    """Connected pieces of equal numbers, the 250 largest of at least so many pixels; 0 elsewhere."""
    pieces = np.zeros_like(areas)
    for area in np.unique(areas).tolist():
        found = cv2.connectedComponents((areas == area).astype(np.uint8), connectivity=4)[1]
        pieces = np.where(found > 0, found + pieces.max(), pieces)
    size = np.bincount(pieces.ravel())
    size[0] = 0
    order = np.argsort(-size)[:250]
    order = order[size[order] >= smallest]
    lookup = np.zeros(len(size), np.int32)
    lookup[order] = np.arange(1, len(order) + 1)
    numbers: Numbers = lookup[pieces]
    return numbers


def _quilt(rng: np.random.Generator, tiles: npt.NDArray[np.uint8], zoom: float) -> Field:
    """Cover (side, side, 2) with overlapping tiles, turned and faded into each other."""
    side = max(16, round(_TILE * zoom))
    step = max(8, round(0.7 * side))
    ramp = np.minimum(np.arange(side) + 1, side - np.arange(side)).astype(np.float32) / (0.3 * side)
    window = np.clip(ramp, 0, 1)[:, None] * np.clip(ramp, 0, 1)[None, :]
    scaled = [
        cv2.resize(_amounts(tile), (side, side), interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
        for tile in tiles
    ]
    room = SIDE + 2 * side
    stain, total = np.zeros((room, room, 2), np.float32), np.full((room, room, 1), 1e-4, np.float32)
    for top in range(0, SIDE + side, step):
        for left in range(0, SIDE + side, step):
            tile = np.rot90(scaled[int(rng.integers(len(scaled)))], int(rng.integers(4)))
            stain[top : top + side, left : left + side] += tile * window[..., None]
            total[top : top + side, left : left + side] += window[..., None]
    inside = slice(side // 2, side // 2 + SIDE)
    found: Field = stain[inside, inside] / total[inside, inside]
    return found
