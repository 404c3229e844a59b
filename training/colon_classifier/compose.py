"""Compose slides of colon from tiles: several pieces of tissue on glass, tumour within exact outlines.

Tissue is a quilt of tiles of a few photographs (the "patient"), laid over each other with soft, irregular edges, so
that a patch of the engine seldom shows one tile alone. All tiles of a slide are brought to one stain, drawn for
the slide whatever its class. The resolution is that of the tiles, about ``MPP`` (see the card).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from shapely import Polygon
from tiles import CLASSES, StainedTile, tiles_of, turned

from sam_mil_engine.annotations.geojson import write_geojson
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.synthetic.layout import coarse_mask, tissue_pieces, tumour_islands
from sam_mil_engine.synthetic.noise import smooth_noise
from sam_mil_engine.synthetic.pyramid import write_pyramid

#: Micrometres a pixel of a tile. LC25000 does not say; nuclei are 0.70 times as many pixels wide as in GlaS (0.62).
MPP = 0.7
#: Share of the tissue that tumour takes, drawn log-uniformly.
TUMOUR_SHARE = (0.02, 0.60)
#: Least and greatest width and height of a slide.
SIDES = ((2300, 3300), (1700, 2500))
#: Photographs that one slide is made from.
GROUPS = {"normal": (5, 14), "tumour": (3, 9)}
#: Pixels between the tiles of the upper layer, and over which they fade.
_STEP = 140
_FEATHER = 9.0

Density = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Laboratory:
    """How a slide is stained: directions (2, 3), strengths (2,), colour of the glass (3,)."""

    vectors: npt.NDArray[np.float64]
    strength: npt.NDArray[np.float64]
    glass: npt.NDArray[np.float64]

    @classmethod
    def random(cls, rng: np.random.Generator, usual: tuple[npt.NDArray, npt.NDArray]) -> Laboratory:
        """Vary hue and strength of both stains around what is usual: (2, 3) directions, (2,) strengths."""
        vectors = np.clip(usual[0] + rng.normal(0, 0.05, (2, 3)), 0.01, None)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        strength = usual[1] * np.exp(rng.normal(0, 0.18, 2))
        return cls(vectors, strength, 243 + rng.normal(0, 2.0) + rng.normal(0, 1.5, 3))

    def density(self, rng: np.random.Generator, tile: StainedTile) -> Density:
        """Stain one tile again: (side, side, 3) optical density."""
        amounts = self.strength * np.exp(rng.normal(0, 0.05, 2))
        stained = tile.density @ (amounts[:, None] * self.vectors).astype(np.float32)
        density: Density = np.maximum(stained + np.float32(0.6) * tile.rest, 0)
        return density


def usual_stain(table: pd.DataFrame) -> tuple[npt.NDArray, npt.NDArray]:
    """Median directions and strengths of tiles."""
    tiles = [(tile.vectors, tile.strength) for tile in tiles_of(table)]
    vectors, strengths = (np.median(np.stack(values), axis=0) for values in zip(*tiles, strict=True))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), strengths


def compose_slide(
    path: Path,
    tiles: pd.DataFrame,
    *,
    tumour: bool,
    seed: int,
    usual: tuple[npt.NDArray, npt.NDArray],
    annotations: Path,
    sides: tuple[tuple[int, int], tuple[int, int]] = SIDES,
) -> dict[str, object]:
    """Write one slide as a pyramidal TIFF, its tumour outlines as GeoJSON; return its row of the table.

    Parameters
    ----------
    tiles
        The tiles of one part of the experiment.
    usual
        From :func:`usual_stain`.
    sides
        Least and greatest width, least and greatest height in pixels.
    """
    place, look = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    size = tuple(int(place.integers(*side)) for side in sides)
    tissue = tissue_pieces(place, size)
    islands: tuple[Polygon, ...] = ()
    if tumour:
        islands = tumour_islands(place, tissue, coarse_mask(tissue, size), MPP, share=TUMOUR_SHARE)
    laboratory = Laboratory.random(look, usual)
    masks = {"normal": _soft_mask(tissue, size, 4), "tumour": _soft_mask(islands, size, 6)}
    used: dict[str, list[str]] = {}
    layers = {}
    for label in CLASSES if tumour else CLASSES[:1]:
        own, used[label] = _patient(look, tiles[tiles["label"] == label], GROUPS[label])
        layers[label] = _quilt(look, own, laboratory, masks[label], size)
    density = layers["normal"]
    if tumour:
        density += (layers["tumour"] - density) * masks["tumour"][..., None]
    density *= masks["normal"][..., None]
    write_pyramid(path, _developed(look, density, laboratory.glass), mpp=MPP, description=_description(seed, used))
    if tumour:
        outlines = enumerate(islands, start=1)
        drawn = [Annotation(f"tumour {k}", "tumour", outline) for k, outline in outlines]
        write_geojson(annotations, drawn, info=None)
    area = sum(float(piece.area) for piece in tissue)
    return {
        "slide_id": path.stem,
        "label": CLASSES[tumour],
        "tumour_share": round(sum(float(island.area) for island in islands) / area, 4),
    }


def _patient(
    rng: np.random.Generator, tiles: pd.DataFrame, count: tuple[int, int]
) -> tuple[list[StainedTile], list[str]]:
    """Draw a few photographs, and return their tiles and names."""
    groups = sorted(tiles["group"].unique())
    chosen = rng.choice(groups, size=min(int(rng.integers(*count)), len(groups)), replace=False).tolist()
    return list(tiles_of(tiles[tiles["group"].isin(chosen)])), chosen


def _quilt(
    rng: np.random.Generator, tiles: list[StainedTile], laboratory: Laboratory, mask: Density, size: tuple[int, int]
) -> Density:
    """Lay tiles over each other in random order, in two layers, where the mask is; (height, width, 3)."""
    side = tiles[0].density.shape[0]
    width, height = size
    canvas = np.zeros((height + 2 * side, width + 2 * side, 3), dtype=np.float32)
    wanted = np.pad(mask > 0, side)
    # first a ground without gaps, whose straight seams the second layer covers
    for step, soft in ((side - 24, False), (_STEP, True)):
        x, y = np.meshgrid(np.arange(side // 2, width + side, step), np.arange(side // 2, height + side, step))
        corners = np.stack([x.ravel(), y.ravel()], axis=1)
        corners = corners + rng.integers(-12, 13, corners.shape) * (4 if soft else 1)
        for left, top in rng.permutation(corners).tolist():
            window = np.s_[top : top + side, left : left + side]
            if not wanted[window].any():
                continue
            tile = laboratory.density(rng, turned(rng, tiles[int(rng.integers(len(tiles)))]))
            h, w = canvas[window].shape[:2]
            weight = _edge(rng, side)[:h, :w, None] if soft else np.float32(1)
            canvas[window] += (tile[:h, :w] - canvas[window]) * weight
    return canvas[side:-side, side:-side]


def _edge(rng: np.random.Generator, side: int) -> Density:
    """Weights (side, side): one inside, falling to zero along an irregular line near the border."""
    ramp = np.minimum(np.arange(side), np.arange(side)[::-1]).astype(np.float32)
    inside = np.minimum(ramp[:, None], ramp[None, :])
    line = 22 + 9 * smooth_noise(rng, (side, side), scale=30)
    weights: Density = np.clip((inside - line) / _FEATHER + 0.5, 0, 1).astype(np.float32)
    return weights


def _soft_mask(polygons: tuple[Polygon, ...], size: tuple[int, int], edge: float) -> Density:
    """Polygons as a mask (height, width) float32 whose edge is ``edge`` pixels wide; the outline is its middle."""
    canvas = np.zeros((size[1], size[0]), dtype=np.uint8)
    for polygon in polygons:
        rings = [np.asarray(ring.coords) for ring in (polygon.exterior, *polygon.interiors)]
        cv2.fillPoly(canvas, [np.rint((ring - 0.5) * 16).astype(np.int32) for ring in rings], 255, shift=4)
    soft: Density = cv2.GaussianBlur(canvas, (0, 0), edge / 2).astype(np.float32) / 255
    return soft


def _developed(rng: np.random.Generator, density: Density, glass: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Optical density -> RGB, with a little of a camera's noise."""
    light = glass.astype(np.float32) * np.power(np.float32(10), -density)
    light += rng.normal(0, 1.2, light.shape[:2]).astype(np.float32)[..., None]
    picture: npt.NDArray[np.uint8] = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    return picture


def _description(seed: int, groups: dict[str, list[str]]) -> str:
    return json.dumps(
        {"composed": "tiles of LC25000, not a real slide", "mpp": MPP, "seed": seed, "groups": groups}
    )
