"""Write an image as a pyramidal tiled TIFF that OpenSlide, QuPath and the rest open."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..files import atomic_path

_SMALLEST_SIDE = 512
_SOFTWARE = "sam_mil_engine"


def write_pyramid(
    path: Path, image: npt.NDArray[np.uint8], *, mpp: float, description: str, quality: int = 85, tile: int = 256
) -> None:
    """Write RGB (height, width, 3) with levels halved until a side is 512 or less; whole or not at all.

    Levels are pages marked as reduced (NewSubfileType 1), JPEG tiles, resolution in pixels per centimetre:
    what OpenSlide calls ``generic-tiff``, with the right mpp.
    """
    import tifffile

    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary) as tiff:
        for level, pixels in enumerate(_levels(image)):
            per_centimetre = 1e4 / mpp * pixels.shape[1] / image.shape[1]
            tiff.write(
                pixels,
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": quality},
                tile=(tile, tile),
                resolution=(per_centimetre, per_centimetre),
                resolutionunit="CENTIMETER",
                subfiletype=int(level > 0),
                description=description if level == 0 else None,
                software=_SOFTWARE,
                metadata=None,
            )


def _levels(image: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    levels = [image]
    while min(levels[-1].shape[:2]) > _SMALLEST_SIDE:
        height, width = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return levels
