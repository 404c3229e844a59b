"""What takes long to make, one file each: drawn tissue, composites, real tissue with a teacher; read many times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from drawing import SIDE, Drawn, draw
from mixtures import Tiles, compose
from textures import Textures, load_textures

from sam_mil_engine.segment.regions import (
    OUTSIDE,
    adjacency,
    colour_statistics,
    lab_of,
    merge_tree,
    tissue_superpixels,
)

#: Shares of images of real tissue, whose truth is the teacher's, and of composites; the others are drawn.
_REAL, _COMPOSITES = 0.12, 0.5
#: Numbers of regions of the teacher, part to piece.
_CUTS = (28, 12, 6, 3)


def make(folder: Path, data: Path, *, part: str, numbers: Sequence[int], tiles: int | None = None) -> None:
    """Write the images of these numbers that are not there yet; ``val`` has other textures and is all drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in numbers if not _path(folder, part, number).exists()]
    if not missing:
        return
    textures = load_textures(data, part=part, most=tiles)
    pcam = Tiles(data / "lymph_node" / "pcam.zip", part="train", most=tiles) if part == "train" else None
    for number in missing:
        rng = np.random.default_rng([{"train": 1, "val": 2}[part], number])
        drawn, kind = _one(rng, textures, pcam)
        target = _path(folder, part, number)
        temporary = target.with_suffix(".tmp.npz")
        np.savez(temporary, truth=drawn.truth, rgb=drawn.rgb, kind=kind)
        temporary.rename(target)


def read(path: Path) -> Drawn:
    """Image and truth of a file."""
    with np.load(path) as kept:
        return Drawn(kept["rgb"], kept["truth"])


def picture(folder: Path, part: str, number: int) -> Drawn:
    """The same by its number."""
    return read(_path(folder, part, number))


def _path(folder: Path, part: str, number: int) -> Path:
    return folder / f"{part}-{number:05d}.npz"


def _one(rng: np.random.Generator, textures: Textures, pcam: Tiles | None) -> tuple[Drawn, str]:
    which = rng.random() if pcam else 1.0
    if pcam and which < _COMPOSITES:
        return compose(rng, pcam)[0], "composite"
    if which < _COMPOSITES + _REAL:
        return _taught(rng, textures), "taught"
    return draw(rng, textures), "drawn"


def _taught(rng: np.random.Generator, textures: Textures) -> Drawn:
    """Real tissue: one tile enlarged, or four beside each other; the nested regions are its truth."""
    count = 1 if rng.random() < 0.4 else 2
    rows = []
    for _ in range(count):
        tiles = [textures.pictures[int(rng.integers(len(textures.pictures)))] for _ in range(count)]
        side = SIDE // count
        rows.append(np.concatenate([cv2.resize(tile, (side, side)) for tile in tiles], axis=1))
    rgb = np.concatenate(rows)
    lab = lab_of(rgb)
    labels = tissue_superpixels(lab, np.ones((SIDE, SIDE), dtype=bool), 400)
    tree = merge_tree(colour_statistics(lab, labels), adjacency(labels))
    maps = []
    for cut in _CUTS:
        region = np.unique(tree.cut(cut), return_inverse=True)[1]
        maps.append(np.where(labels == OUTSIDE, 0, region[labels] + 1)[1::2, 1::2])
    return Drawn(rgb, np.stack(maps).astype(np.uint8))
