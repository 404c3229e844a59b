"""Masks of a SAM with their gaps filled: duplicates go, the tissue is covered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam_mil_engine.geometry import Frame
from sam_mil_engine.progress import ProgressCallback, silent
from sam_mil_engine.segment.filled import FilledSegmenter, without_duplicates
from sam_mil_engine.segment.image import SegmentationImage
from sam_mil_engine.segment.regions import StainRegionSegmenter
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.settings import SegmentSettings

SIZE = (120, 160)


def box_mask(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def segments_of(masks: list[np.ndarray], predicted_iou: list[float]) -> Segments:
    return Segments.from_masks(
        masks, frame=Frame(), size_raster=SIZE[::-1], predicted_iou=predicted_iou, stability=predicted_iou
    )


@dataclass
class Fixed:
    """A segmenter that always finds the same."""

    found: Segments
    name: str = "fixed"
    version: str = "1"

    def segment(self, image: SegmentationImage, *, progress: ProgressCallback = silent) -> Segments:
        return self.found


def test_of_nearly_equal_masks_the_better_stays() -> None:
    large, nearly, inner = box_mask(0, 0, 60, 80), box_mask(0, 0, 60, 78), box_mask(10, 10, 40, 40)
    found = without_duplicates(segments_of([large, nearly, inner], [0.6, 0.8, 0.7]))
    assert found.area.tolist() == [nearly.sum(), inner.sum()]
    assert np.allclose(found.predicted_iou, [0.8, 0.7])


def test_gaps_are_filled_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(120, 230, (*SIZE, 3), dtype=np.uint8)
    rgb[:, 100:] //= 2
    tissue = box_mask(4, 4, 116, 156)
    own = [box_mask(4, 4, 116, 80), box_mask(30, 20, 70, 60)]
    settings = SegmentSettings(superpixels=60, cuts=(2, 6))
    segmenter = FilledSegmenter(Fixed(segments_of(own, [0.9, 0.8])), StainRegionSegmenter(settings))
    image = SegmentationImage(rgb, Frame(), tissue)
    found = segmenter.segment(image)
    assert (found.mask(0) == own[0]).all()
    assert (found.mask(1) == own[1]).all()
    assert len(found) > 2
    masks = np.stack([found.mask(number) for number in range(len(found))])
    assert not masks[2:, own[0]].any()
    assert not masks[:, ~tissue].any()
    reached = StainRegionSegmenter(settings).segment(image).label_image() > 0
    assert masks.any(axis=0)[reached].mean() > 0.99
    assert segmenter.version == "1+stain-regions-1"


def test_without_any_mask_the_regions_stand_alone() -> None:
    rgb = np.random.default_rng(1).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    image = SegmentationImage(rgb, Frame(), np.ones(SIZE, dtype=bool))
    regions = StainRegionSegmenter(SegmentSettings(superpixels=60, cuts=(2, 6)))
    found = FilledSegmenter(Fixed(Segments.empty(Frame(), SIZE[::-1])), regions).segment(image)
    assert found.area.tolist() == regions.segment(image).area.tolist()
