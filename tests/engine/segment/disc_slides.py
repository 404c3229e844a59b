"""Slides of any size that are not in a file: dark discs on pale tissue, drawn where they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from skimage.measure import label

from sam_mil_engine.progress import silent
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.slide.tissue_regions import TissueRegions


class DiscSlide:
    """A slide of one level at 1 µm per pixel with discs (x, y, radius)."""

    def __init__(self, size: int, discs: Sequence[tuple[int, int, int]]):
        self.discs = discs
        self.info = SimpleNamespace(
            path=Path("discs.tiff"), size_px0=(size, size), level_downsamples=((1.0, 1.0),), mpp=(1.0, 1.0)
        )

    def read_level(self, level, location, size):
        del level
        columns, rows = (start + np.arange(side) for start, side in zip(location, size, strict=True))
        image = np.full((size[1], size[0], 3), 220, dtype=np.uint8)
        for x, y, radius in self.discs:
            if abs(x - columns[0] - size[0] / 2) < size[0] + radius:
                image[(rows[:, None] - y) ** 2 + (columns - x) ** 2 < radius**2] = 60
        return image

    def disc(self, number):
        """The pixels of one disc in its box."""
        x, y, radius = self.discs[number]
        rows, columns = np.mgrid[y - radius : y + radius + 1, x - radius : x + radius + 1]
        return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def squares(*boxes: tuple[int, int, int, int]) -> TissueRegions:
    """Tissue of rectangles left, top, right, bottom."""
    rings = [
        np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=float)
        for left, top, right, bottom in boxes
    ]
    return TissueRegions(
        polygons_px0=tuple((ring, ()) for ring in rings),
        area_px0=np.array([(right - left) * (bottom - top) for left, top, right, bottom in boxes], dtype=float),
    )


class Dark:
    """A segmenter that finds connected dark pixels, and counts how often it is asked."""

    name, version = "dark", "1"

    def __init__(self):
        self.asked = 0

    def segment(self, image, *, progress=silent):
        self.asked += 1
        labels = label(image.rgb[..., 0] < 128, connectivity=1)
        masks = [labels == number for number in range(1, labels.max() + 1)]
        return Segments.from_masks(masks, frame=image.frame, size_raster=image.size_raster)


class DarkAndAround(Dark):
    """The same, each inside a mask of what lies around it: nested masks that look alike at the edge of a tile."""

    def segment(self, image, *, progress=silent):
        inner = super().segment(image)
        everything = [inner.mask(number) for number in range(len(inner))]
        whole = np.ones(image.tissue.shape, dtype=bool)
        return Segments.from_masks([whole, *everything], frame=image.frame, size_raster=image.size_raster)
