"""Made-up slides that are small enough for every test."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import tifffile


def write_tiny_slide(path: Path, *, seed: int = 0, tissue: bool = True, size: tuple[int, int] = (640, 512)) -> Path:
    """A tiled TIFF of 0.5 µm per pixel with one pink blob that holds darker blobs, or with nothing but white."""
    rng = np.random.default_rng(seed)
    width, height = size
    image = np.full((height, width, 3), 244, np.uint8)
    if tissue:
        centre, axes = (width // 2, height // 2), (width * 2 // 5, height * 2 // 5)
        cv2.ellipse(image, centre, axes, 0, 0, 360, (225, 150, 190), -1)
        for _ in range(12):
            spot = rng.normal(centre, np.asarray(axes) / 3).astype(int)
            cv2.circle(image, spot.tolist(), int(rng.integers(8, 30)), (120, 60, 150), -1)
        image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    tifffile.imwrite(
        path,
        image,
        tile=(128, 128),
        photometric="rgb",
        compression="deflate",
        resolution=(20000, 20000),
        resolutionunit=3,
    )
    return path
