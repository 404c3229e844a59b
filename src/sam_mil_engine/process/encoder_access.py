"""Whether the encoders of a run can be used, asked before the first slide is opened."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ..bag import h5
from ..errors import EncoderError
from ..models.access import require_access
from ..slide.entry import SlideEntry
from .job import Tools
from .project import Project


def require_encoders(
    project: Project, entries: Sequence[SlideEntry], tools: Tools, *, stages: Collection[str]
) -> None:
    """Refuse a run whose encoders could not be loaded, before it spends hours on tissue and segments.

    An encoder whose features all slides have already is not needed.

    Raises
    ------
    EncoderError
        Naming the encoder, what is missing and what to do.
    """
    if "features" not in stages:
        return
    features = tools.settings.features
    for name, side in zip(features.encoders, (None, *features.more_encoders), strict=True):
        try:
            require_access([name])
        except EncoderError:
            if not all(_is_encoded(project.bag(one.slide_id, side), tools, name) for one in entries):
                raise


def _is_encoded(bag: Path, tools: Tools, encoder: str) -> bool:
    """Whether a bag has the features of its patches, made with the same settings."""
    done = h5.read_stages(bag)
    return "tiles" in done and done.get("features") == tools.stage_key("features", "", done, encoder=encoder)
