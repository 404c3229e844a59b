"""Which segments a classifier gets where the user leaves it to the software, and whether a bag has them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..models.registry import cards
from ..settings import SegmentSettings

if TYPE_CHECKING:
    from ..training.checkpoint import TrainedModel
    from ..training.expects import Expects


def automatic_segments(model: TrainedModel, chosen: SegmentSettings) -> SegmentSettings | None:
    """Return ``chosen`` with the segments that the classifier was trained with, for the segmenter ``auto``.

    None where it uses no groups, does not know its segments, or they need a file that is not here: then ``auto``
    means what it means without a classifier.
    """
    name = model.expects.segmenter
    if name is None or not model.model.group_tokens:
        return None
    card = cards("segmenter").get(name)
    here = Path(name).is_file() if card is None else card.on_disk
    return model.expects.segments(chosen) if here else None


def segments_text(kind: Expects) -> str:
    """Return what is known of segments, for the user: ``regions (4, 8, 16, 32 of 500 superpixels)``."""
    if kind.segmenter is None:
        return "unknown origin"
    said = []
    if kind.cuts is not None:
        said.append(f"{', '.join(map(str, kind.cuts))} of {kind.superpixels} superpixels")
    if kind.segments_mpp is not None:
        said.append(f"{kind.segments_mpp:g} µm per pixel{' and the whole image' if kind.both_scales else ''}")
    return f"{kind.segmenter} ({'; '.join(said)})" if said else kind.segmenter
