"""A library of drawn nuclei, drawn once per process and stamped thousands of times per slide."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

#: Directions for which a nucleus is drawn, over half a turn.
TURNS = 16


@dataclass(frozen=True, slots=True)
class NucleusKind:
    """How the nuclei of one kind of cell look.

    Attributes
    ----------
    length, width
        Mean axes in µm.
    spread
        Relative deviation of the axes between nuclei: pleomorphism.
    density
        Mean haematoxylin optical density, 255 being 2.
    clumps
        Strength of the chromatin's texture.
    rim
        How much darker the membrane is: vesicular nuclei have a clear one.
    nucleoli
        Largest number of nucleoli.
    irregular
        How far the outline departs from an ellipse.
    shapes
        Number of different nuclei that are drawn.
    """

    length: float
    width: float
    spread: float
    density: float
    clumps: float
    rim: float
    nucleoli: int
    irregular: float
    shapes: int


KINDS: dict[str, NucleusKind] = {
    "epithelium": NucleusKind(
        length=9.0, width=5.4, spread=0.08, density=98, clumps=0.18, rim=0.18, nucleoli=1, irregular=0.05, shapes=10
    ),
    "lymphocyte": NucleusKind(
        length=6.6,
        width=6.1,
        spread=0.08,
        density=126,
        clumps=0.24,
        rim=0.06,
        nucleoli=0,
        irregular=0.06,
        shapes=12,
    ),
    "fibroblast": NucleusKind(
        length=13.5,
        width=2.7,
        spread=0.20,
        density=100,
        clumps=0.12,
        rim=0.10,
        nucleoli=0,
        irregular=0.06,
        shapes=10,
    ),
    "plasma": NucleusKind(
        length=7.0, width=6.2, spread=0.08, density=112, clumps=0.36, rim=0.14, nucleoli=0, irregular=0.04, shapes=6
    ),
    "tumour": NucleusKind(
        length=11.8,
        width=8.8,
        spread=0.22,
        density=86,
        clumps=0.30,
        rim=0.42,
        nucleoli=3,
        irregular=0.12,
        shapes=28,
    ),
}


@lru_cache(maxsize=8)
def library(kind: str, mpp: float) -> tuple[tuple[npt.NDArray[np.uint8], ...], ...]:
    """Draw the nuclei of ``kind``: one tuple per shape, a density sprite (uint8) for each of ``TURNS`` directions.

    The same for every slide (its seed is fixed), so that it is made once; slides differ in which stand where.
    """
    nucleus = KINDS[kind]
    rng = np.random.default_rng([sorted(KINDS).index(kind), 20240707])
    return tuple(_nucleus(rng, nucleus, mpp) for _ in range(nucleus.shapes))


def _nucleus(rng: np.random.Generator, nucleus: NucleusKind, mpp: float) -> tuple[npt.NDArray[np.uint8], ...]:
    spread = np.clip(1 + nucleus.spread * rng.normal(size=2), 0.6, 1.7)
    axes = np.array([nucleus.length, nucleus.width]) / 2 / mpp * spread
    half = int(np.ceil(1.25 * axes.max())) + 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    wave = rng.normal(size=3) * nucleus.irregular
    phase = rng.uniform(0, 2 * np.pi, 3)
    texture = cv2.GaussianBlur(rng.standard_normal(x.shape, dtype=np.float32), (0, 0), max(0.9 / mpp / 2, 0.6))
    texture /= max(float(texture.std()), 1e-6)
    spots = rng.uniform(-0.45, 0.45, (int(rng.integers(nucleus.nucleoli + 1)), 2))
    density = nucleus.density * np.clip(1 + 0.12 * rng.normal(), 0.7, 1.35)

    def drawn(turn: float) -> npt.NDArray[np.uint8]:
        u = (x * np.cos(turn) + y * np.sin(turn)) / axes[0]
        v = (y * np.cos(turn) - x * np.sin(turn)) / axes[1]
        angle = np.arctan2(v, u)
        outline = 1 + sum(wave[k] * np.cos((k + 2) * angle + phase[k]) for k in range(3))
        # distance to the outline in pixels, positive inside
        inside = (outline - np.hypot(u, v)) * axes.min()
        edge = np.clip(inside / 1.4 + 0.5, 0, 1)
        membrane = np.exp(-(((inside - 1.2) / 1.1) ** 2))
        level = 1 + nucleus.clumps * texture + nucleus.rim * (membrane - 0.35)
        for spot in spots:
            level += 0.75 * np.exp(-(((u - spot[0]) * axes[0]) ** 2 + ((v - spot[1]) * axes[1]) ** 2) / 3.4)
        sprite: npt.NDArray[np.uint8] = np.clip(np.rint(density * level * edge), 0, 250).astype(np.uint8)
        return sprite

    return tuple(drawn(turn * np.pi / TURNS) for turn in range(TURNS))
