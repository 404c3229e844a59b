"""Smooth random fields and random closed outlines: what makes drawn tissue look grown."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], *, scale: float) -> Field:
    """Return a field (height, width), about normal with deviation 1, that changes over ``scale`` pixels."""
    width, height = size
    columns, rows = int(width / scale) + 4, int(height / scale) + 4
    knots = rng.standard_normal((rows, columns), dtype=np.float32)
    full = cv2.resize(knots, (int(columns * scale) + 1, int(rows * scale) + 1), interpolation=cv2.INTER_CUBIC)
    margin = int(scale)
    # cubic interpolation between independent knots halves the variance
    return np.ascontiguousarray(full[margin : margin + height, margin : margin + width]) * np.float32(1.4)


def fractal_noise(rng: np.random.Generator, size: tuple[int, int], *, scale: float, octaves: int = 3) -> Field:
    """Return the sum of fields of ``scale``, ``scale / 2`` and so on, each half as strong; deviation about 1."""
    total = np.zeros((size[1], size[0]), dtype=np.float32)
    for octave in range(octaves):
        total += smooth_noise(rng, size, scale=max(scale / 2**octave, 1.0)) * np.float32(0.5**octave)
    return total / np.float32(np.sqrt(sum(0.25**octave for octave in range(octaves))))


def closed_curve(
    rng: np.random.Generator,
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    wobble: float,
    points: int = 96,
) -> Points:
    """Return a smooth closed outline (points, 2) around ``centre`` that never crosses itself.

    An ellipse with ``radii``, turned at random, whose radius varies by about ``wobble`` (a share of it): a
    star-shaped Fourier curve, so that every ray from the centre meets it once.
    """
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    order = np.arange(2, 9)[:, None]
    strength = rng.normal(size=order.shape) * wobble / (order - 1) ** 0.8
    waves = strength * np.cos(order * angle + rng.uniform(0, 2 * np.pi, order.shape))
    radius = np.maximum(1 + waves.sum(axis=0), 0.4)
    curve = np.stack([radii[0] * radius * np.cos(angle), radii[1] * radius * np.sin(angle)], axis=1)
    turn = rng.uniform(0, np.pi)
    c, s = np.cos(turn), np.sin(turn)
    turned: Points = curve @ np.array([[c, s], [-s, c]]) + centre
    return turned


def tiled(rng: np.random.Generator, tile: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Cover (height, width) with a tile that wraps around, from a random start."""
    width, height = size
    side_y, side_x = tile.shape
    start_y, start_x = rng.integers(side_y), rng.integers(side_x)
    turned = np.roll(tile, (-start_y, -start_x), axis=(0, 1))
    repeats = (-(-height // side_y), -(-width // side_x))
    return np.ascontiguousarray(np.tile(turned, repeats)[:height, :width])


def grain_tile(seed: int, *, side: int = 512, blur: float, mean: float, deviation: float) -> npt.NDArray[np.uint8]:
    """Return a fixed tile (side, side) of grain that wraps around, uint8, for :func:`tiled`."""
    raw = np.random.default_rng(seed).standard_normal((side, side), dtype=np.float32)
    if blur > 0:
        margin = int(4 * blur) + 1
        wide = cv2.GaussianBlur(np.pad(raw, margin, mode="wrap"), (0, 0), blur)
        raw = wide[margin:-margin, margin:-margin]
    tile: npt.NDArray[np.uint8] = np.clip(np.rint(mean + deviation * raw / raw.std()), 0, 255).astype(np.uint8)
    return tile
