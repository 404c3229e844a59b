"""Masks that passed the filters, kept as the few logits under their boxes, and what becomes of the duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from segment_anything.utils.amg import is_box_near_crop_edge, remove_small_regions
from torch import Tensor
from torchvision.ops.boxes import batched_nms

from .fast_decoder import DecodedMasks
from .mask_filters import FullResolution
from .point_grid import Crop
from .segments import Segments

#: Boxes that overlap more (IoU) are one mask, within a crop and between crops: Meta's default for both.
_DUPLICATE = 0.7


@dataclass(frozen=True, slots=True)
class Candidate:
    """One mask of one crop.

    Attributes
    ----------
    box_raster
        First and last x and y in pixels of the image.
    predicted_iou, stability
        SAM's scores.
    logits, row, column
        What :meth:`FullResolution.crop` kept.
    """

    box_raster: tuple[int, int, int, int]
    predicted_iou: float
    stability: float
    logits: Tensor
    row: int
    column: int


@dataclass
class CropCandidates:
    """The masks of one crop, of which :meth:`drop_duplicates` leaves the best."""

    crop: Crop
    resolution: FullResolution
    image_size: tuple[int, int]
    masks: list[Candidate] = field(default_factory=list)

    def passing(self, found: DecodedMasks, *, threshold: float, min_stability: float) -> list[Candidate]:
        """Make candidates of those masks that are stable and that no edge of the crop cuts off."""
        if not len(found.logits):
            return []
        measured = self.resolution.measure(found.logits, threshold=threshold)
        height, width = self.image_size
        keep = ~is_box_near_crop_edge(measured.boxes, list(self.crop.box_raster), [0, 0, width, height])
        if min_stability > 0:
            keep &= measured.stability >= min_stability
        numbers = keep.nonzero()[:, 0].tolist()
        boxes, stability = measured.boxes.tolist(), measured.stability.tolist()
        predicted_iou = found.predicted_iou.tolist()
        left, top, _, _ = self.crop.box_raster
        candidates = []
        for number in numbers:
            x0, y0, x1, y1 = boxes[number]
            logits, row, column = self.resolution.crop(found.logits[number], (x0, y0, x1, y1))
            candidates.append(
                Candidate(
                    box_raster=(x0 + left, y0 + top, x1 + left, y1 + top),
                    predicted_iou=predicted_iou[number],
                    stability=stability[number],
                    logits=logits,
                    row=row,
                    column=column,
                )
            )
        return candidates

    def drop_duplicates(self) -> None:
        """Keep of overlapping boxes the one with the best predicted IoU; the best mask comes first."""
        boxes, scores = [mask.box_raster for mask in self.masks], [mask.predicted_iou for mask in self.masks]
        self.masks = [self.masks[number] for number in _without_duplicates(boxes, scores)]

    def mask(self, candidate: Candidate, *, threshold: float) -> npt.NDArray[np.bool_]:
        """Compute the pixels (h, w) of the candidate's box."""
        left, top, _, _ = self.crop.box_raster
        x0, y0, x1, y1 = candidate.box_raster
        box = (x0 - left, y0 - top, x1 - left, y1 - top)
        logits = self.resolution.enlarge(candidate.logits, candidate.row, candidate.column, box)
        pixels: npt.NDArray[np.bool_] = (logits > threshold).cpu().numpy()
        return pixels


@dataclass(frozen=True, slots=True)
class FoundMask:
    """A mask of the image: the pixels (h, w) of its box (first and last x and y), and SAM's scores."""

    pixels: npt.NDArray[np.bool_]
    box_raster: tuple[int, int, int, int]
    predicted_iou: float
    stability: float


def merge_crop_masks(crops: Sequence[CropCandidates], *, threshold: float) -> list[FoundMask]:
    """Join the masks that the crops have left: of duplicates the one from the smaller crop stays."""
    all_of_them = [(crop, mask) for crop in crops for mask in crop.masks]
    kept = list(range(len(all_of_them)))
    if len(crops) > 1:
        areas = [crop.crop.size[0] * crop.crop.size[1] for crop, _ in all_of_them]
        kept = _without_duplicates([mask.box_raster for _, mask in all_of_them], [1 / area for area in areas])
    return [
        FoundMask(
            pixels=crop.mask(mask, threshold=threshold),
            box_raster=mask.box_raster,
            predicted_iou=mask.predicted_iou,
            stability=mask.stability,
        )
        for crop, mask in (all_of_them[number] for number in kept)
    ]


def without_small_regions(masks: list[FoundMask], *, size: tuple[int, int], min_area: int) -> list[FoundMask]:
    """Fill holes and drop islands of fewer than ``min_area`` pixels, on an image of ``size`` rows and columns.

    Where that makes duplicates, a mask that needed no change stays.
    """
    cleaned, scores = [], []
    for mask in masks:
        x0, y0, x1, y1 = mask.box_raster
        # At full size: what lies around a mask is one region, its corners in the box would be small ones.
        full = np.zeros(size, dtype=bool)
        full[y0 : y1 + 1, x0 : x1 + 1] = mask.pixels
        filled, has_filled = remove_small_regions(full, min_area, mode="holes")
        left, has_left_out = remove_small_regions(filled, min_area, mode="islands")
        cleaned.append(_found(left, mask) if has_filled or has_left_out else mask)
        scores.append(float(not (has_filled or has_left_out)))
    return [cleaned[number] for number in _without_duplicates([mask.box_raster for mask in cleaned], scores)]


def _found(full: npt.NDArray[np.bool_], before: FoundMask) -> FoundMask:
    x, y, width, height = Segments.tight_box(full)
    pixels = np.ascontiguousarray(full[y : y + height, x : x + width])
    return FoundMask(
        pixels=pixels,
        box_raster=(x, y, x + width - 1, y + height - 1),
        predicted_iou=before.predicted_iou,
        stability=before.stability,
    )


def _without_duplicates(boxes: Sequence[tuple[int, int, int, int]], scores: Sequence[float]) -> list[int]:
    """Numbers of the boxes that stay, the best score first."""
    kept: list[int] = batched_nms(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores, dtype=torch.float32),
        torch.zeros(len(boxes)),
        _DUPLICATE,
    ).tolist()
    return kept
