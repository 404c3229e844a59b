"""The segments of a slide: possibly overlapping and nested masks on one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import SegmentError
from ..geometry import Frame
from .label_blocks import SegmentLabels
from .packed import PackedMasks


@dataclass(frozen=True, slots=True)
class Segments:
    """L masks on the segmentation image of a slide.

    Attributes
    ----------
    frame
        Where the segmentation image lies on the slide.
    size_raster
        Width and height of the segmentation image.
    boxes_raster
        (L, 4) int32: x, y, width, height of every mask's tight box.
    crops
        L boolean arrays (height, width): the mask inside its box. Of large rasters they are packed, and each is
        unpacked when it is asked for (:class:`~sam_mil_engine.segment.packed.PackedMasks`).
    area
        (L,) int64: pixels of every mask.
    predicted_iou, stability
        (L,) float32: SAM's own scores; 1 where the segmenter has none.
    """

    frame: Frame
    size_raster: tuple[int, int]
    boxes_raster: npt.NDArray[np.int32]
    crops: Sequence[npt.NDArray[np.bool_]]
    area: npt.NDArray[np.int64]
    predicted_iou: npt.NDArray[np.float32]
    stability: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        lengths = {
            len(self.boxes_raster),
            len(self.crops),
            len(self.area),
            len(self.predicted_iou),
            len(self.stability),
        }
        if len(lengths) != 1:
            raise SegmentError(f"the fields of segments differ in length: {sorted(lengths)}")
        shapes = self.crops.shapes if isinstance(self.crops, PackedMasks) else [crop.shape for crop in self.crops]
        for number, (box, shape) in enumerate(zip(self.boxes_raster.tolist(), shapes, strict=True)):
            x, y, width, height = box
            if shape != (height, width):
                raise SegmentError(f"mask {number} has shape {shape}, but its box says {(height, width)}")
            if x < 0 or y < 0 or x + width > self.size_raster[0] or y + height > self.size_raster[1]:
                raise SegmentError(f"the box of mask {number} extends beyond the segmentation image")

    def __len__(self) -> int:
        return len(self.crops)

    @classmethod
    def empty(cls, frame: Frame, size_raster: tuple[int, int]) -> Segments:
        """No mask at all, on an image of the given size."""
        return cls.from_masks([], frame=frame, size_raster=size_raster)

    @classmethod
    def from_masks(
        cls,
        masks: list[npt.NDArray[np.bool_]],
        *,
        frame: Frame,
        size_raster: tuple[int, int],
        predicted_iou: npt.ArrayLike | None = None,
        stability: npt.ArrayLike | None = None,
    ) -> Segments:
        """Build from full boolean masks (height, width); empty masks must have been dropped before."""
        boxes, crops = [], []
        for number, mask in enumerate(masks):
            if not mask.any():
                raise SegmentError(f"mask {number} is empty", hint="Drop empty masks before building segments")
            x, y, width, height = cls.tight_box(mask)
            boxes.append((x, y, width, height))
            crops.append(np.ascontiguousarray(mask[y : y + height, x : x + width]))
        return cls.from_crops(
            crops,
            boxes,
            frame=frame,
            size_raster=size_raster,
            predicted_iou=predicted_iou,
            stability=stability,
        )

    @classmethod
    def from_crops(
        cls,
        crops: Sequence[npt.NDArray[np.bool_]],
        boxes_raster: Sequence[tuple[int, int, int, int]],
        *,
        frame: Frame,
        size_raster: tuple[int, int],
        predicted_iou: npt.ArrayLike | None = None,
        stability: npt.ArrayLike | None = None,
    ) -> Segments:
        """Build from boolean crops and their tight boxes (x, y, width, height)."""
        ones = np.ones(len(crops), dtype=np.float32)
        return cls(
            frame=frame,
            size_raster=size_raster,
            boxes_raster=np.asarray(boxes_raster, dtype=np.int32).reshape(-1, 4),
            crops=crops if isinstance(crops, PackedMasks) else tuple(crops),
            area=np.asarray([np.count_nonzero(crop) for crop in crops], dtype=np.int64),
            predicted_iou=ones if predicted_iou is None else np.asarray(predicted_iou, dtype=np.float32),
            stability=ones if stability is None else np.asarray(stability, dtype=np.float32),
        )

    @staticmethod
    def tight_box(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
        """Left, top, width, height of the smallest box around a mask (h, w) that is not empty."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        x, y = int(columns[0]), int(rows[0])
        return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1

    def mask(self, number: int) -> npt.NDArray[np.bool_]:
        """Mask ``number`` at full raster size (height, width)."""
        full = np.zeros((self.size_raster[1], self.size_raster[0]), dtype=bool)
        x, y, width, height = self.boxes_raster[number]
        full[y : y + height, x : x + width] = self.crops[number]
        return full

    def label_image(self) -> npt.NDArray[Any]:
        """Paint all masks into one image (height, width), small ones over large ones; 0 is background.

        Label k + 1 is mask k. The smallest dtype that fits is used.
        """
        return self.labels()[:, :]

    def labels(self) -> SegmentLabels:
        """Return the label image as one that is painted where it is read, for large rasters."""
        return SegmentLabels(self.boxes_raster, self.crops, self.area, self.size_raster)
