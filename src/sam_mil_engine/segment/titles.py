"""What segments are called where a person reads of them: by what made them."""

from __future__ import annotations

from pathlib import Path

#: Names of segmenters that are written in another way than they are chosen by.
_TITLES = {
    "vit_b": "SAM ViT-B",
    "vit_l": "SAM ViT-L",
    "vit_h": "SAM ViT-H",
    "medsam": "MedSAM",
    "mobile_sam": "MobileSAM",
    "sam-mil": "SAM-MIL",
}


def segmenter_title(name: str | None) -> str:
    """Return what a person calls a segmenter: ``SAM ViT-H`` for ``vit_h``, the file's name for a path."""
    if not name:
        return "unknown"
    return _TITLES.get(name) or (Path(name).stem if name.endswith((".pth", ".pt")) else name)


def segments_title(segmenter: str | None) -> str:
    """Return the name of a layer or an image of segments: ``segments (regions)``, ``segments (SAM ViT-H)``."""
    return f"segments ({segmenter_title(segmenter)})"
