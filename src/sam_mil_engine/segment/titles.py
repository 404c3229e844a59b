"""Titles of segments in text for the user: by the segmenter that made them."""

from __future__ import annotations

from pathlib import Path

from ..models.registry import cards

#: What the code released with the SAM-MIL paper made; it is no segmenter of its own.
_RELEASED = {"sam-mil": "SAM-MIL"}


def segmenter_title(name: str | None) -> str:
    """Return the title of a segmenter: ``SAM ViT-H`` for ``vit_h``, the file's name for a path."""
    if not name:
        return "unknown"
    card = cards("segmenter").get(name)
    if card is not None and card.title:
        return card.title
    return _RELEASED.get(name) or (Path(name).stem if name.endswith((".pth", ".pt")) else name)


def segments_title(segmenter: str | None) -> str:
    """Return the name of a layer or an image of segments: ``segments (regions)``, ``segments (SAM ViT-H)``."""
    return f"segments ({segmenter_title(segmenter)})"
