"""From stain densities to colour: the Beer-Lambert law with stain vectors of this slide's laboratory."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .noise import grain_tile, smooth_noise, tiled

Bytes = npt.NDArray[np.uint8]
#: Optical density of the value 255 in a density image.
FULL_DENSITY = 2.0
#: Optical density (base 10) per channel R, G, B of haematoxylin and of eosin at density 1; the directions are near
#: those that stain separation finds in H&E slides (Macenko et al. 2009), the lengths were chosen by eye.
HAEMATOXYLIN = np.array([0.56, 0.68, 0.33])
EOSIN = np.array([0.11, 0.64, 0.33])


@dataclass(frozen=True, slots=True)
class Stain:
    """How a laboratory stains and a scanner sees.

    Attributes
    ----------
    haematoxylin, eosin
        (3,) optical density per channel at stain density 1.
    white
        (3,) colour of the empty glass.
    """

    haematoxylin: npt.NDArray[np.float64]
    eosin: npt.NDArray[np.float64]
    white: npt.NDArray[np.float64]

    @classmethod
    def random(cls, rng: np.random.Generator) -> Stain:
        """Return a laboratory at random: hue and strength of both stains, and the white balance, vary."""
        haematoxylin, eosin = (
            np.clip(vector + rng.normal(0, 0.035, 3), 0.03, None) * strength
            for vector, strength in ((HAEMATOXYLIN, rng.uniform(0.85, 1.2)), (EOSIN, rng.uniform(0.8, 1.25)))
        )
        return cls(haematoxylin, eosin, 243 + rng.normal(0, 1.5) + rng.normal(0, 1.0, 3))

    def colour(self, haematoxylin: Bytes, eosin: Bytes, rng: np.random.Generator) -> Bytes:
        """Density images (height, width) uint8 -> RGB (height, width, 3) uint8, with uneven light and noise."""
        height, width = haematoxylin.shape
        light = self._light(rng, (width, height))
        noise = grain_tile(11, blur=0.5, mean=12, deviation=1.5)
        density = np.arange(256) / 255 * FULL_DENSITY
        image = np.empty((height, width, 3), dtype=np.uint8)
        for channel in range(3):
            by_h = 255 * 10 ** (-density * self.haematoxylin[channel])
            by_e = self.white[channel] * 10 ** (-density * self.eosin[channel])
            plane = cv2.multiply(cv2.LUT(haematoxylin, _bytes(by_h)), cv2.LUT(eosin, _bytes(by_e)), scale=1 / 255)
            plane = cv2.multiply(plane, light, scale=1 / 250)
            image[..., channel] = cv2.subtract(cv2.add(plane, tiled(rng, noise, (width, height))), 12)
        return image

    @staticmethod
    def _light(rng: np.random.Generator, size: tuple[int, int]) -> Bytes:
        """Relative brightness around 250: half a per cent of slow change across the slide."""
        small = 250 + 1.2 * smooth_noise(rng, (size[0] // 16 + 1, size[1] // 16 + 1), scale=60)
        light: Bytes = cv2.resize(_bytes(small), size, interpolation=cv2.INTER_LINEAR)
        return light


def _bytes(values: npt.NDArray[np.floating]) -> Bytes:
    rounded: Bytes = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded
