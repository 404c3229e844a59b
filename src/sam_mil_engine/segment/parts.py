"""Into how many parts a segmenter divides: stored with segments, expected by classifiers."""

from __future__ import annotations

from ..settings import SegmentSettings

#: The segmenters that merge superpixels and cut the tree of merges.
OF_SUPERPIXELS = ("regions", "stain-regions")


def parts_of(segmenter: str, settings: SegmentSettings) -> dict[str, int | tuple[int, ...]]:
    """Return the settings that decide it, by the names of the attributes; empty for other segmenters."""
    if segmenter not in OF_SUPERPIXELS:
        return {}
    return {"superpixels": settings.superpixels, "cuts": settings.cuts}
