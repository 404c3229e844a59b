"""Nested regions of what ``tissue-sam`` sees as one tissue: superpixels, merged by its embedding and by stain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from segment_anything.modeling import Sam

from ..models.segmenters import TISSUE_REGIONS
from ..settings import SegmentSettings
from .image import SegmentationImage
from .regions import StainRegionSegmenter
from .tissue_sam.bundle import digest
from .tissue_sam.merging import embedding_statistics
from .tissue_sam.model import load_tissue_sam

Statistics = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueRegionSegmenter(StainRegionSegmenter):
    """``stain-regions`` that are told apart by the embedding of a tissue-sam as much as by their stains.

    Attributes
    ----------
    sam
        A tissue-sam.
    """

    sam: Sam
    name: str = TISSUE_REGIONS
    version: str

    def _statistics(
        self,
        image: SegmentationImage,
        lab: npt.NDArray[np.float32],
        labels: npt.NDArray[np.int64],
        pairs: npt.NDArray[np.int64],
    ) -> Statistics:
        stains = StainRegionSegmenter._statistics(self, image, lab, labels, pairs)
        return beside(embedding_statistics(self.sam, image.rgb, labels, pairs), stains)


def beside(one: Statistics, other: Statistics) -> Statistics:
    """Two kinds of statistics (n, F) and (n, G) in one table, which count alike."""
    return np.concatenate([_unit(one), _unit(other)], axis=1)


def _unit(rows: Statistics) -> Statistics:
    """Rows with mean 0 and mean squared length 1."""
    rows = rows - rows.mean(axis=0)
    return rows / max(float(np.sqrt((rows**2).sum(axis=1).mean())), 1e-9)


def build_tissue_regions(*, settings: SegmentSettings, device: str) -> TissueRegionSegmenter:
    """Return ``tissue-regions`` with the weights that come with the package; found on the CPU, whatever the device.

    Raises
    ------
    SegmentError
        If the weights are missing or damaged.
    """
    del device
    return TissueRegionSegmenter(settings=settings, sam=load_tissue_sam(device="cpu"), version=f"1-{digest()[:16]}")
