"""Into how many parts a segmenter divides, and at which scale: stored with segments, expected by classifiers."""

from __future__ import annotations

from ..models.segmenters import TISSUE_REGIONS, TISSUE_SAM
from ..settings import SegmentSettings

#: The segmenters of bags from before the parts were recorded.
BEFORE_PARTS = ("regions", "stain-regions")
#: The segmenters that merge superpixels and cut the tree of merges.
OF_SUPERPIXELS = (*BEFORE_PARTS, TISSUE_REGIONS)
#: And the one whose gaps are filled with such regions.
_WITH_SUPERPIXELS = (*OF_SUPERPIXELS, TISSUE_SAM)


def parts_of(segmenter: str, settings: SegmentSettings) -> dict[str, int | float | bool | tuple[int, ...]]:
    """Return the settings that decide it, by the names of the attributes; empty where none does."""
    found: dict[str, int | float | bool | tuple[int, ...]] = {}
    if segmenter in _WITH_SUPERPIXELS:
        found |= {"superpixels": settings.superpixels, "cuts": settings.cuts}
    if settings.mpp is not None:
        found |= {"segments_mpp": settings.mpp, "both_scales": settings.both_scales}
    return found
