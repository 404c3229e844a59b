"""LC25000 colon tiles: which part of the experiment each belongs to, and their stains taken apart.

LC25000 (Borkowski et al. 2019) holds augmented copies of few photographs; the column ``group`` joins the copies
of one photograph. A group is in one part only, so that no photograph is seen in training and in testing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

CLASSES = ("normal", "tumour")
PARTS = {"train": 0.6, "val": 0.15, "test": 0.25}
#: Brightness of the empty glass in the photographs.
_GLASS = 250.0
#: Optical density (base 10) below which a pixel holds no stain.
_FAINT = 0.06
#: Direction of haematoxylin and of eosin in R, G, B (Ruifrok and Johnston 2001): used where a tile shows only one.
_USUAL = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])

Vectors = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StainedTile:
    """A tile as stains.

    Attributes
    ----------
    density
        (side, side, 2) float32: haematoxylin and eosin, 1 being the tile's 99th percentile.
    rest
        (side, side, 3) float32: optical density that neither stain explains.
    vectors, strength
        (2, 3) unit directions of the stains, and (2,) their 99th percentiles.
    """

    density: npt.NDArray[np.float32]
    rest: npt.NDArray[np.float32]
    vectors: Vectors
    strength: npt.NDArray[np.float64]


def divide(folder: Path, *, seed: int) -> pd.DataFrame:
    """Read ``labels.csv`` and add the column ``part``: whole groups of every class are drawn for each part."""
    table = pd.read_csv(folder / "labels.csv")
    rng = np.random.default_rng([seed, 25000])
    part_of: dict[str, str] = {}
    for label in CLASSES:
        groups = rng.permutation(sorted(table.loc[table["label"] == label, "group"].unique()))
        edges = np.rint(np.cumsum([0.0, *PARTS.values()]) * len(groups)).astype(int)
        for part, first, last in zip(PARTS, edges, edges[1:], strict=False):
            part_of |= dict.fromkeys(groups[first:last].tolist(), part)
    table["part"] = table["group"].map(part_of)
    table["path"] = [str(folder / name) for name in table["file"]]
    return table


def read_rgb(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read an image (height, width, 3) uint8."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(path)
    rgb: npt.NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return rgb


def separate(rgb: npt.NDArray[np.uint8]) -> StainedTile:
    """Take the stains of a tile apart (Macenko et al. 2009): both directions are found in the tile itself."""
    density = -np.log10(np.clip(rgb.astype(np.float64) / _GLASS, 1 / 255, 1)).reshape(-1, 3)
    stained = density[density.mean(axis=1) > _FAINT]
    vectors = _directions(stained) if len(stained) > 500 else _USUAL
    amounts = density @ np.linalg.pinv(vectors)
    strength = np.maximum(np.percentile(amounts, 99, axis=0), 0.05)
    rest = density - amounts @ vectors
    shape = rgb.shape[:2]
    return StainedTile(
        (np.clip(amounts, 0, None) / strength).reshape(*shape, 2).astype(np.float32),
        rest.reshape(*shape, 3).astype(np.float32),
        vectors,
        strength,
    )


def _directions(stained: Vectors) -> Vectors:
    """Extremes of the angle within the plane of greatest variance; the usual ones where they make no sense."""
    _, axes = np.linalg.eigh(np.cov(stained.T))
    plane = axes[:, 1:] * np.sign(axes[:, 1:].sum(axis=0))
    angle = np.arctan2(*(stained @ plane).T[::-1])
    ends = np.percentile(angle, (1, 99))
    found = np.stack([np.cos(ends), np.sin(ends)], axis=1) @ plane.T
    # haematoxylin absorbs more red
    found = found[np.argsort(-found[:, 0])]
    usual = _USUAL / np.linalg.norm(_USUAL, axis=1, keepdims=True)
    sensible = (found > -0.05).all() and ((found * usual).sum(axis=1) > 0.85).all()
    return found if sensible else usual


def turned(rng: np.random.Generator, tile: StainedTile) -> StainedTile:
    """Turn by a multiple of 90 degrees and perhaps mirror."""
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))

    def turn(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        picture = np.rot90(picture, turns)
        return picture[:, ::-1] if mirror else picture

    return StainedTile(turn(tile.density), turn(tile.rest), tile.vectors, tile.strength)


def tiles_of(table: pd.DataFrame) -> Iterator[StainedTile]:
    """Read and separate every tile of a table."""
    for path in table["path"]:
        yield separate(read_rgb(path))
