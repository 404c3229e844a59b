"""Into how many parts a segmenter divides, and at which scale: stored with segments, expected by classifiers."""

from __future__ import annotations

from ..settings import SegmentSettings

#: The segmenters that merge superpixels and cut the tree of merges.
OF_SUPERPIXELS = ("regions", "stain-regions")


def parts_of(segmenter: str, settings: SegmentSettings) -> dict[str, int | float | bool | tuple[int, ...]]:
    """Return the settings that decide it, by the names of the attributes; empty where none does."""
    found: dict[str, int | float | bool | tuple[int, ...]] = {}
    if segmenter in OF_SUPERPIXELS:
        found |= {"superpixels": settings.superpixels, "cuts": settings.cuts}
    if settings.mpp is not None:
        found |= {"segments_mpp": settings.mpp, "both_scales": settings.both_scales}
    return found
