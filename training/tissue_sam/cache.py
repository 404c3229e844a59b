"""Images with their truth, and what the frozen trunk makes of them, one file each: made once, read many times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from drawing import SIDE, TRUTH, Drawn, draw
from textures import Textures, load_textures
from torch import Tensor

from sam_mil_engine.segment.regions import OUTSIDE, adjacency, colour_statistics, merge_tree, tissue_superpixels
from sam_mil_engine.segment.tissue_sam.encoder import Trunk, normalised

#: Share of images of real tissue, whose truth is the teacher's, and share with an edge beyond which is nothing.
_REAL, _CUT_OFF = 0.15, 0.3
#: Numbers of regions of the teacher, part to piece.
_CUTS = (28, 12, 6, 3)


def make(
    folder: Path, trunk: Trunk, data: Path, *, part: str, numbers: Sequence[int], tiles: int | None = None
) -> None:
    """Write the images of these numbers that are not there yet; ``val`` has other textures and no teacher."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in numbers if not _path(folder, part, number).exists()]
    if not missing:
        return
    textures = load_textures(data, part=part, most=tiles)
    for number in missing:
        rng = np.random.default_rng([{"train": 1, "val": 2}[part], number])
        real = part == "train" and rng.random() < _REAL
        drawn = _taught(rng, textures) if real else draw(rng, textures)
        drawn = _cut_off(rng, drawn)
        with torch.inference_mode():
            levels = trunk(normalised(drawn.rgb))
        arrays = {f"level{k}": level[0].half().numpy() for k, level in enumerate(levels)}
        target = _path(folder, part, number)
        temporary = target.with_suffix(".tmp.npz")
        np.savez(temporary, truth=drawn.truth, rgb=drawn.rgb, real=real, **arrays)
        temporary.rename(target)


def read(folder: Path, part: str, number: int) -> tuple[list[Tensor], npt.NDArray[np.uint8], bool]:
    """Levels of the trunk (C, h, w) float32, truth (4, 256, 256), and whether the truth is the teacher's."""
    with np.load(_path(folder, part, number)) as kept:
        levels = [torch.from_numpy(kept[f"level{k}"]).float() for k in range(4)]
        return levels, kept["truth"], bool(kept["real"])


def picture(folder: Path, part: str, number: int) -> Drawn:
    """The image itself and its truth."""
    with np.load(_path(folder, part, number)) as kept:
        return Drawn(kept["rgb"], kept["truth"])


def _path(folder: Path, part: str, number: int) -> Path:
    return folder / f"{part}-{number:05d}.npz"


def _cut_off(rng: np.random.Generator, drawn: Drawn) -> Drawn:
    """Leave nothing below a row or right of a column, as where SAM fills an image up to a square."""
    if rng.random() > _CUT_OFF:
        return drawn
    end = 2 * int(rng.integers(TRUTH // 2, TRUTH - 8))
    rgb, truth = drawn.rgb.copy(), drawn.truth.copy()
    if rng.random() < 0.5:
        rgb[end:], truth[:, end // 2 :] = 127, 0
    else:
        rgb[:, end:], truth[:, :, end // 2 :] = 127, 0
    return Drawn(rgb, truth)


def _taught(rng: np.random.Generator, textures: Textures) -> Drawn:
    """Real tissue: one tile enlarged, or four beside each other; the nested regions are its truth."""
    count = 1 if rng.random() < 0.4 else 2
    rows = []
    for _ in range(count):
        tiles = [textures.pictures[int(rng.integers(len(textures.pictures)))] for _ in range(count)]
        side = SIDE // count
        rows.append(np.concatenate([cv2.resize(tile, (side, side)) for tile in tiles], axis=1))
    rgb = np.concatenate(rows)
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    labels = tissue_superpixels(lab, np.ones((SIDE, SIDE), dtype=bool), 400)
    tree = merge_tree(colour_statistics(lab, labels), adjacency(labels))
    maps = []
    for cut in _CUTS:
        region = np.unique(tree.cut(cut), return_inverse=True)[1]
        maps.append(np.where(labels == OUTSIDE, 0, region[labels] + 1)[1::2, 1::2])
    return Drawn(rgb, np.stack(maps).astype(np.uint8))
