"""How an image is scaled to the square input of a SAM: padded (SAM) or stretched (SAM 2)."""

from __future__ import annotations

from typing import Any

from segment_anything.utils.transforms import ResizeLongestSide


class Stretch(ResizeLongestSide):  # type: ignore[misc]  # Meta's package has no types
    """Scales both sides to ``target_length``, as SAM 2 does; Meta's own class keeps the aspect ratio."""

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """Return rows and columns of the scaled image."""
        del oldh, oldw
        return long_side_length, long_side_length


def scaling_of(sam: Any) -> ResizeLongestSide:
    """Return how a SAM wants its images scaled: a :class:`Stretch` for SAM 2, else Meta's class."""
    side = sam.image_encoder.img_size
    return Stretch(side) if getattr(sam, "stretches", False) else ResizeLongestSide(side)
