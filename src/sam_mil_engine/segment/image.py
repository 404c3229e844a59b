"""The image that is segmented: all tissue of a slide, small enough for SAM (SAM-MIL §4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import SegmentError
from ..geometry import Frame
from ..settings import SegmentSettings
from ..slide.tissue_regions import TissueRegions

if TYPE_CHECKING:
    from ..slide.reader import Slide


@dataclass(frozen=True, slots=True)
class SegmentationImage:
    """A downsampled image of the tissue's bounding box.

    Attributes
    ----------
    rgb
        (h, w, 3) uint8 RGB.
    frame
        Where the image lies on the slide.
    tissue
        (h, w) bool: pixels that a tissue polygon covers, holes left out.
    """

    rgb: npt.NDArray[np.uint8]
    frame: Frame
    tissue: npt.NDArray[np.bool_]

    @property
    def size_raster(self) -> tuple[int, int]:
        """Width and height."""
        return self.rgb.shape[1], self.rgb.shape[0]


def segmentation_image(slide: Slide, tissue: TissueRegions, settings: SegmentSettings) -> SegmentationImage:
    """Read the bounding box of all tissue, downsampled by 2^ceil(log2(longest side / ``max_side``)), at least 1.

    Raises
    ------
    SegmentError
        If there is no tissue on the slide.
    """
    bounds = tissue.bounds_px0
    if bounds is None:
        raise SegmentError(
            "there is no tissue to segment",
            where=slide.info.path,
            hint="Look at the tissue mask; another preset may find what this one missed",
        )
    left, top, right, bottom = _whole_pixels(bounds, slide.info.size_px0)
    longest, downsample = max(right - left, bottom - top), 1
    while longest > settings.max_side * downsample:
        downsample *= 2
    image, frame = slide.read_image(bounds_px0=(left, top, right, bottom), downsample=downsample)
    height, width = image.shape[:2]
    return SegmentationImage(rgb=image, frame=frame, tissue=tissue_mask(tissue, frame, (width, height)))


def _whole_pixels(
    bounds_px0: tuple[float, float, float, float], size_px0: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Smallest box of whole pixels around the bounds, on the slide, at least one pixel wide and high."""
    (left, top, right, bottom), (width, height) = bounds_px0, size_px0
    x = min(max(floor(left), 0), width - 1)
    y = min(max(floor(top), 0), height - 1)
    return x, y, max(min(ceil(right), width), x + 1), max(min(ceil(bottom), height), y + 1)


def tissue_mask(tissue: TissueRegions, frame: Frame, size_raster: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Paint the polygons into a raster (h, w) of the given frame.

    Pixels on an outline count as tissue, so that the smallest piece covers at least one pixel.
    """
    import cv2

    painted = np.zeros((size_raster[1], size_raster[0]), dtype=np.uint8)
    for outer, holes in tissue.polygons_px0:
        # OpenCV puts the centre of pixel 0 at 0, a frame puts it at 0.5; coordinates carry 4 fractional bits.
        rings = [np.round((frame.from_px0(ring) - 0.5) * 16).astype(np.int32) for ring in (outer, *holes)]
        cv2.fillPoly(painted, rings, 1, lineType=cv2.LINE_8, shift=4)
    return painted.astype(bool)
