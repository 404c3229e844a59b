"""A large slide made on the fly: the pyramid that the benchmark of panning moves over."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIZE, TILE, LEVELS = (40_000, 30_000), 256, (1, 4, 16)


def make_large_slide(path: Path) -> None:
    """Write the pyramid; its tiles repeat, so that it is made in seconds, but every one has to be decoded."""
    import cv2
    import imagecodecs
    import tifffile

    rng = np.random.default_rng(0)
    tissue = np.full((2048, 2048, 3), (225, 165, 200), np.uint8)
    for x, y, radius in zip(*rng.integers(0, 2048, (2, 9000)), rng.integers(3, 9, 9000), strict=True):
        cv2.circle(tissue, (int(x), int(y)), int(radius), rng.integers((70, 40, 110), (150, 100, 180)).tolist(), -1)
    tissue = np.clip(cv2.GaussianBlur(tissue, (3, 3), 0) + rng.normal(0, 6, tissue.shape), 0, 255).astype(np.uint8)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for number, factor in enumerate(LEVELS):
            image = tissue[::factor, ::factor]
            repeated = np.tile(image, (max(1, TILE * 4 // len(image)), max(1, TILE * 4 // len(image)), 1))
            tiles = [
                imagecodecs.jpeg8_encode(
                    np.ascontiguousarray(repeated[y : y + TILE, x : x + TILE]),
                    level=80,
                    colorspace="RGB",
                    outcolorspace="YCBCR",
                    subsampling=(2, 2),
                )
                for y in range(0, len(repeated), TILE)
                for x in range(0, len(repeated), TILE)
            ]
            width, height = (-(-side // factor) for side in SIZE)
            columns, rows = -(-width // TILE), -(-height // TILE)
            file.write(
                (tiles[(row * 7 + column) % len(tiles)] for row in range(rows) for column in range(columns)),
                shape=(height, width, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="ycbcr",
                subsampling=(2, 2),
                compression="jpeg",
                subfiletype=int(number > 0),
                resolution=(40_000 / factor, 40_000 / factor),
                resolutionunit=3,
            )
