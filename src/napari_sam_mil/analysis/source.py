"""What the plugin's layers carry in their metadata: the open slide behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.slide.info import SlideInfo
from sam_mil_engine.slide.slide import Slide

from .placement import Place

if TYPE_CHECKING:
    from .model import StoredResults

METADATA_KEY = "sam_mil"


@dataclass(frozen=True, slots=True)
class SlideFacts:
    """What is known of a slide without reading it: light enough to travel to another process.

    Attributes
    ----------
    info
        The facts of the file.
    user_mpp
        What the user said where the file does not.
    """

    info: SlideInfo
    user_mpp: float | None = None

    @property
    def mpp(self) -> tuple[float, float] | None:
        """Micrometres per level-0 pixel (x, y): the file's, else the user's, else None."""
        if self.info.mpp is not None:
            return self.info.mpp
        return None if self.user_mpp is None else (self.user_mpp, self.user_mpp)


@dataclass(eq=False, slots=True)
class SlideSource:
    """The slide of a layer.

    Attributes
    ----------
    slide
        The open slide.
    user_mpp
        What the user said where the file does not.
    stored
        Where its results lie, for a slide that was opened from a project, a RUN or predictions.
    origin
        World point (row, column) of the centre of its first pixel.
    """

    slide: Slide = field(repr=False)
    user_mpp: float | None = None
    stored: StoredResults | None = None
    origin: tuple[float, float] = (0.0, 0.0)

    def __deepcopy__(self, memo: dict[int, Any]) -> SlideSource:
        """Return the slide itself: napari copies a layer's metadata when it duplicates the layer."""
        return self

    @property
    def info(self) -> SlideInfo:
        """The facts of the file."""
        return self.slide.info

    def is_file(self, path: Path) -> bool:
        """Whether this is the slide of a file; slides of several patients may have one name."""
        return self.info.path.resolve() == path.resolve()

    @property
    def facts(self) -> SlideFacts:
        """What is known of it now, without the open slide."""
        return SlideFacts(self.info, self.user_mpp)

    @property
    def mpp(self) -> tuple[float, float] | None:
        """Micrometres per level-0 pixel (x, y): the file's, else the user's, else None."""
        return self.facts.mpp

    @property
    def place(self) -> Place:
        """Where it lies in the world."""
        return Place(self.mpp, self.origin)


@dataclass(frozen=True, slots=True)
class LayerTag:
    """Mark of a layer that shows something of a slide.

    Attributes
    ----------
    kind
        ``slide``, ``annotations``, or one of :data:`~napari_sam_mil.layers.results.KINDS`.
    source
        The slide.
    segments
        The masks that a ``segments`` layer shows; its image holds only the smallest at every pixel.
    """

    kind: str
    source: SlideSource
    segments: Segments | None = field(default=None, repr=False)


def tag_of(metadata: dict[str, Any]) -> LayerTag | None:
    """Return the mark in a layer's metadata, or None where the layer is not one of ours."""
    tag = metadata.get(METADATA_KEY)
    return tag if isinstance(tag, LayerTag) else None
