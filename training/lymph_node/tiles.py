"""Tiles of PatchCamelyon by part and class, and the kinds of tile that a slide is laid out with."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

CLASSES = ("normal", "tumour")
#: Part of the experiment -> the official part of PatchCamelyon, which shares no slide with the others.
PARTS = {"train": "train", "val": "valid", "test": "test"}
#: Side of a tile in pixels, and micrometres per pixel.
SIDE, MPP = 96, 0.97
#: Kinds of colour and density that tiles are sorted into for the layout.
KINDS = 8

Tiles = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TilePool:
    """Tiles of one part and class.

    Attributes
    ----------
    names
        File names in the archive, (N,).
    images
        (N, 96, 96, 3) uint8 RGB.
    kinds
        (N,) number of the kind, 0 to ``KINDS - 1``.
    """

    names: tuple[str, ...]
    images: Tiles
    kinds: npt.NDArray[np.int64]


def read_tiles(archive: Path, part: str, label: str) -> tuple[tuple[str, ...], Tiles]:
    """Read all tiles of a part and class from ``pcam.zip``, ordered by name."""
    folder = f"{PARTS[part]}/{CLASSES.index(label)}/"
    with zipfile.ZipFile(archive) as members:
        names = tuple(sorted(name for name in members.namelist() if name.startswith(folder) and name[-1] != "/"))
        return names, np.stack([_decoded(members.read(name)) for name in names])


def read_pools(archive: Path) -> dict[tuple[str, str], TilePool]:
    """Read every part and class; kinds are clusters of the colours of normal training tiles."""
    from sklearn.cluster import KMeans

    read = {(part, label): read_tiles(archive, part, label) for part in PARTS for label in CLASSES}
    colours = {key: tile_colours(images) for key, (_, images) in read.items()}
    reference = colours["train", "normal"]
    mean, spread = reference.mean(axis=0), reference.std(axis=0)
    kinds = KMeans(KINDS, n_init=3, random_state=0).fit((reference - mean) / spread)
    return {
        key: TilePool(names, images, kinds.predict((colours[key] - mean) / spread).astype(np.int64))
        for key, (names, images) in read.items()
    }


def tile_colours(images: Tiles) -> npt.NDArray[np.float64]:
    """(N, S, S, 3) RGB -> (N, 6): mean and standard deviation of the three CIELAB values."""
    lab = [cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB) for image in images]
    return np.stack([np.r_[one.mean(axis=(0, 1)), one.std(axis=(0, 1))] for one in lab]).astype(np.float64)


def _decoded(content: bytes) -> Tiles:
    bgr = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(bgr[..., ::-1])
