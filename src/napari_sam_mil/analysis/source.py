"""The metadata of the plugin's layers: the open slide behind each layer."""

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
    """The facts of a slide without its pixels, small enough to be pickled for the worker process.

    Attributes
    ----------
    info
        The facts of the file.
    user_mpp
        The user's micrometres per pixel, if the file does not state them.
    """

    info: SlideInfo
    user_mpp: float | None = None

    @property
    def mpp(self) -> tuple[float, float] | None:
        """Micrometres per level-0 pixel (x, y): from the file, else from the user, else None."""
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
        The user's micrometres per pixel, if the file does not state them.
    stored
        Where its results are stored, for a slide that was opened from a project, a run or predictions.
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
        """Whether this slide was opened from a file. Slides of several patients may have the same name."""
        return self.info.path.resolve() == path.resolve()

    def take_resolution(self, info: SlideInfo) -> bool:
        """Take the resolution that a project states of this slide; return whether it is another one."""
        if info.mpp is None or info.mpp == self.info.mpp:
            return False
        self.slide.state_mpp(info.mpp[0])
        return True

    @property
    def facts(self) -> SlideFacts:
        """The facts of the slide, without the open slide."""
        return SlideFacts(self.info, self.user_mpp)

    @property
    def mpp(self) -> tuple[float, float] | None:
        """Micrometres per level-0 pixel (x, y): from the file, else from the user, else None."""
        return self.facts.mpp

    @property
    def place(self) -> Place:
        """Where the slide lies in the world."""
        return Place(self.mpp, self.origin)


@dataclass(frozen=True, slots=True)
class LayerTag:
    """Tag of a layer that belongs to a slide.

    Attributes
    ----------
    kind
        ``slide``, ``annotations``, or one of :data:`~napari_sam_mil.layers.results.KINDS`.
    source
        The slide.
    segments
        The masks of a ``segments`` layer. Its label image holds only the smallest segment at each pixel.
    """

    kind: str
    source: SlideSource
    segments: Segments | None = field(default=None, repr=False)


def tag_of(metadata: dict[str, Any]) -> LayerTag | None:
    """Return the tag in the metadata of a layer, or None if the layer is not from this plugin."""
    tag = metadata.get(METADATA_KEY)
    return tag if isinstance(tag, LayerTag) else None
