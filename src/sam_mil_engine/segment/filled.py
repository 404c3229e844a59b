"""Segments that cover the tissue: a SAM's masks without duplicates, and regions where no mask is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..progress import ProgressCallback, silent
from .image import SegmentationImage
from .regions import StainRegionSegmenter
from .segmenter import Segmenter
from .segments import Segments

#: IoU above which two masks are one, and share of a region that no mask may cover for it to fill.
_SAME, _FREE = 0.85, 0.5
#: Pixels below which what is left of a region is not a segment.
_SMALLEST = 16

Box = tuple[int, int, int, int]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FilledSegmenter:
    """A segmenter whose gaps are filled with nested regions of like stain.

    Attributes
    ----------
    segmenter, regions
        What is asked first, and what fills.
    """

    segmenter: Segmenter
    regions: StainRegionSegmenter

    @property
    def name(self) -> str:
        """That of the segmenter which is asked first."""
        return self.segmenter.name

    @property
    def version(self) -> str:
        """Versions of both."""
        return f"{self.segmenter.version}+{self.regions.name}-{self.regions.version}"

    def segment(self, image: SegmentationImage, *, progress: ProgressCallback = silent) -> Segments:
        """Find segments that cover the tissue except for specks.

        Returns
        -------
        Segments
            The masks in their order, of two that are nearly equal the better; then what is left of the regions that
            are mostly uncovered, the largest cut first.

        Raises
        ------
        SegmentError
            As the segmenter that is asked first.
        """
        own = without_duplicates(self.segmenter.segment(image, progress=progress))
        return cover(own, self.regions.segment(image), image.tissue)


def cover(own: Segments, regions: Segments, tissue: Mask) -> Segments:
    """Add to masks what they leave of regions of the same image, so that the tissue (h, w) is covered."""
    covered = np.zeros(tissue.shape, dtype=bool)
    for box, crop in zip(own.boxes_raster.tolist(), own.crops, strict=True):
        covered[_inside(box)] |= crop
    left = _what_is_left(regions, tissue & ~covered)
    ones = np.ones(len(left), dtype=np.float32)
    return Segments.from_crops(
        [*own.crops, *(crop for _, crop in left)],
        [*(tuple(box) for box in own.boxes_raster.tolist()), *(box for box, _ in left)],
        frame=own.frame,
        size_raster=own.size_raster,
        predicted_iou=np.append(own.predicted_iou, ones),
        stability=np.append(own.stability, ones),
    )


def without_duplicates(segments: Segments) -> Segments:
    """Leave out every mask that is nearly equal to one of higher predicted IoU."""
    kept: list[int] = []
    for number in np.argsort(-segments.predicted_iou, kind="stable").tolist():
        if not any(_iou(segments, number, other) > _SAME for other in kept):
            kept.append(number)
    kept.sort()
    return replace(
        segments,
        boxes_raster=segments.boxes_raster[kept],
        crops=tuple(segments.crops[number] for number in kept),
        area=segments.area[kept],
        predicted_iou=segments.predicted_iou[kept],
        stability=segments.stability[kept],
    )


def _iou(segments: Segments, one: int, other: int) -> float:
    """IoU of two masks; 0 where their areas alone say that they differ."""
    areas = segments.area[[one, other]].tolist()
    if min(areas) <= _SAME * max(areas):
        return 0.0
    boxes = segments.boxes_raster[[one, other]].tolist()
    left, top = (max(box[axis] for box in boxes) for axis in (0, 1))
    right, bottom = (min(box[axis] + box[axis + 2] for box in boxes) for axis in (0, 1))
    if right <= left or bottom <= top:
        return 0.0
    cut = [
        segments.crops[number][top - box[1] : bottom - box[1], left - box[0] : right - box[0]]
        for number, box in zip((one, other), boxes, strict=True)
    ]
    common = int(np.count_nonzero(cut[0] & cut[1]))
    joint: int = sum(areas) - common
    return common / joint


def _what_is_left(regions: Segments, free: Mask) -> list[tuple[Box, Mask]]:
    """Box and mask of what no mask covers of the regions that are mostly uncovered, each once.

    Of the finest regions everything is taken, so that the whole is covered.
    """
    found: list[tuple[Box, Mask]] = []
    seen: set[tuple[Box, bytes]] = set()
    finest = np.unique(regions.label_image())
    for number, (box, crop) in enumerate(zip(regions.boxes_raster.tolist(), regions.crops, strict=True)):
        rest = crop & free[_inside(box)]
        left = np.count_nonzero(rest)
        if left < _SMALLEST or (left < _FREE * regions.area[number] and number + 1 not in finest):
            continue
        x, y, width, height = Segments.tight_box(rest)
        part = np.ascontiguousarray(rest[y : y + height, x : x + width])
        place = (box[0] + x, box[1] + y, width, height)
        key = (place, part.tobytes())
        if key not in seen:
            seen.add(key)
            found.append((place, part))
    return found


def _inside(box: list[int]) -> tuple[slice, slice]:
    x, y, width, height = box
    return slice(y, y + height), slice(x, x + width)
