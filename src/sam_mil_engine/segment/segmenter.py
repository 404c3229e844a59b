"""The interface between segmenters and everything else. Does not import torch."""

from __future__ import annotations

from typing import Protocol

from ..progress import ProgressCallback, silent
from .image import SegmentationImage
from .segments import Segments


class Segmenter(Protocol):
    """Image -> segments."""

    @property
    def name(self) -> str:
        """Name for the user."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the segments may: part of the key of the cached results."""
        ...

    def segment(self, image: SegmentationImage, *, progress: ProgressCallback = silent) -> Segments:
        """Find the segments of an image; raises :class:`SegmentError` where that is not possible."""
        ...
