"""The two stain densities of a slide while it is drawn, and the connective tissue that everything lies in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from .layout import COARSE, Layout, depth
from .noise import Field, fractal_noise, grain_tile, smooth_noise, tiled

Bytes = npt.NDArray[np.uint8]
#: Pixels around the slide, so that a sprite at the edge needs no clipping.
MARGIN = 96
_TEXTURE = 1024


@dataclass(slots=True)
class Canvas:
    """Haematoxylin and eosin densities (height + 2 margins, width + 2 margins), uint8, 255 being a density of 2.

    ``nuclei`` is kept apart from the diffuse ``haematoxylin``, because it takes the eosin away beneath it.
    ``fibres`` (coarse) is the direction of the collagen in radians, ``nests`` (coarse) where tumour cells lie.
    """

    layout: Layout
    haematoxylin: Bytes
    eosin: Bytes
    nuclei: Bytes
    fibres: Field
    nests: npt.NDArray[np.bool_]

    def inner(self, image: Bytes) -> Bytes:
        """Return the slide's part of an image, as a view."""
        return image[MARGIN:-MARGIN, MARGIN:-MARGIN]

    def densities(self, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
        """Put together what was drawn: (haematoxylin, eosin), (height, width) uint8, grainy, a little blurred."""
        width, height = self.layout.size
        nuclei = self.inner(self.nuclei)
        eosin = cv2.addWeighted(self.inner(self.eosin), 1.0, nuclei, -0.30, 0)
        grain = grain_tile(5, blur=1.1 * 0.5 / self.layout.mpp, mean=128, deviation=15)
        eosin = cv2.multiply(eosin, tiled(rng, grain, (width, height)), scale=1 / 128)
        haematoxylin = cv2.max(self.inner(self.haematoxylin), nuclei)
        haematoxylin = cv2.multiply(haematoxylin, tiled(rng, grain, (width, height)), scale=1 / 128)
        return cv2.GaussianBlur(haematoxylin, (3, 3), 0.7), cv2.GaussianBlur(eosin, (3, 3), 0.7)


def connective_tissue(rng: np.random.Generator, layout: Layout) -> Canvas:
    """Draw stroma with its fibres, and the ground of tumour nests and lymphoid aggregates, on a new canvas."""
    mpp, (width, height) = layout.mpp, layout.size
    half = (-(-width // 2), -(-height // 2))
    fibres, direction = _fibres(rng, layout, half)
    coarse = layout.tissue_mask.shape[::-1]
    tone = 54 + 7 * fractal_noise(rng, coarse, scale=250 / mpp / COARSE)
    nests = _nests(rng, layout)
    tone[layout.tumour_mask] -= 5  # young, loose stroma between the nests
    edge = 2.0 * 0.5 / mpp
    tissue = _soft(layout.tissue_mask, half, edge)
    tumour, lymphoid = _soft(nests, half, edge), _soft(layout.lymphoid_mask, half, 8 * edge)

    eosin = _up(tone, half) * (1 + 0.27 * fibres) - 34 * np.clip(-1.25 - fibres, 0, 1)
    eosin += (62 + 3 * fibres - eosin) * tumour
    eosin += (34 + 4 * fibres - eosin) * (0.85 * lymphoid)
    haematoxylin = 6 + 22 * tumour + 16 * lymphoid
    return Canvas(
        layout,
        haematoxylin=_padded(haematoxylin * tissue, layout.size),
        eosin=_padded(np.clip(eosin, 0, 255) * tissue, layout.size),
        nuclei=np.zeros((height + 2 * MARGIN, width + 2 * MARGIN), dtype=np.uint8),
        fibres=direction,
        nests=nests,
    )


@lru_cache(maxsize=4)
def _fibre_texture(mpp: float) -> Field:
    """Return a tile of straight parallel fibres that wraps around, deviation 1, at half the slide's resolution."""
    rng = np.random.default_rng(303)
    total = np.zeros((_TEXTURE, _TEXTURE), dtype=np.float32)
    for length, breadth, strength in ((28.0, 0.7, 1.0), (60.0, 2.2, 0.9)):
        raw = np.pad(rng.standard_normal((_TEXTURE, _TEXTURE), dtype=np.float32), 256, mode="wrap")
        raw = cv2.GaussianBlur(raw, (0, 0), sigmaX=length / mpp / 2, sigmaY=breadth / mpp / 2)[256:-256, 256:-256]
        total += np.float32(strength) * raw / raw.std()
    tile: Field = total / total.std()
    return tile


def _fibres(rng: np.random.Generator, layout: Layout, half: tuple[int, int]) -> tuple[Field, Field]:
    """Wavy bundles in two directions: their texture at half resolution, and their direction on the coarse map."""
    mpp, coarse = layout.mpp, layout.tissue_mask.shape[::-1]
    x, y = (
        axis.astype(np.float32) * (COARSE / 2) for axis in np.meshgrid(np.arange(coarse[0]), np.arange(coarse[1]))
    )
    textures, directions = [], []
    for turn in (rng.uniform(0, np.pi), rng.uniform(0, np.pi)):
        bend = 26 / mpp * smooth_noise(rng, coarse, scale=190 / mpp / COARSE)
        bend += 3.5 / mpp * smooth_noise(rng, coarse, scale=38 / mpp / COARSE)
        u = np.float32(np.cos(turn)) * x + np.float32(np.sin(turn)) * y + rng.uniform(0, _TEXTURE)
        v = np.float32(np.cos(turn)) * y - np.float32(np.sin(turn)) * x + bend + rng.uniform(0, _TEXTURE)
        # a fibre follows a line of constant v
        slope_y, slope_x = np.gradient(v)
        directions.append(np.arctan2(-slope_x, slope_y).astype(np.float32))
        textures.append(
            cv2.remap(
                _fibre_texture(mpp),
                _up(u.astype(np.float32), half),
                _up(v.astype(np.float32), half),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_WRAP,
            )
        )
    which = smooth_noise(rng, coarse, scale=90 / mpp / COARSE)
    blend = _up(1 / (1 + np.exp(-6 * which)), half)
    return textures[0] + (textures[1] - textures[0]) * blend, np.where(which > 0, directions[1], directions[0])


def _nests(rng: np.random.Generator, layout: Layout) -> npt.NDArray[np.bool_]:
    """Solid nests and cords of tumour cells; some slides have small crooked holes in them."""
    coarse = layout.tissue_mask.shape[::-1]
    if not layout.tumour_mask.any():
        return np.zeros_like(layout.tumour_mask)
    unit = 1 / layout.mpp / COARSE
    field = fractal_noise(rng, coarse, scale=rng.uniform(38, 70) * unit, octaves=2)
    nests = (depth(layout.tumour_mask) > 3 * unit) & (field > rng.uniform(-1.3, -0.6))
    if rng.random() < 0.6:
        holes = smooth_noise(rng, coarse, scale=14 * unit) > rng.uniform(1.5, 2.2)
        nests &= ~(holes & (depth(nests) > 8 * unit))
    return nests


def _up(coarse: npt.NDArray[np.floating], size: tuple[int, int]) -> Field:
    large: Field = cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return large


def _soft(mask: npt.NDArray[np.bool_], size: tuple[int, int], edge: float) -> Field:
    """Return a mask with a soft edge, 0 to 1, at ``size``; ``edge`` is its width in coarse pixels."""
    return _up(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(edge / 2, 0.6)), size)


def _padded(half: Field, size: tuple[int, int]) -> Bytes:
    full = cv2.resize(np.clip(half, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    padded: Bytes = cv2.copyMakeBorder(full, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=0)
    return padded
