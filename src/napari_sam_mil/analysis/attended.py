"""The patches that a model attended to most, as small images. No Qt, no napari."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sam_mil_engine.mil.scores import SlideScores
from sam_mil_engine.progress import Progress, ProgressCallback, silent

from .segment_table import shown_class

if TYPE_CHECKING:
    from sam_mil_engine.slide.slide import Slide
    from sam_mil_engine.slide.tile_grid import TileGrid

#: Patches that are shown, and the side of their images in pixels.
COUNT, SIDE = 8, 112


@dataclass(frozen=True, slots=True)
class Attended:
    """Patches in their order.

    Attributes
    ----------
    title
        What they have most of.
    numbers
        Of the patches, the first one first.
    values
        What each has of it, in words.
    """

    title: str
    numbers: tuple[int, ...]
    values: tuple[str, ...]


def most_attended(scores: SlideScores, count: int = COUNT) -> Attended:
    """Return the patches with most attention; with the highest probability where the model has no attention."""
    attention, column = scores.relative_attention, shown_class(scores)
    title, values = f"Highest probability of {scores.classes[column]}", scores.patch_probability[:, column]
    if attention is not None:
        title, values = "Most attended patches", attention
    numbers = np.argsort(-values, kind="stable")[:count].tolist()
    unit = "probability {:.2f}" if attention is None else "attention {:.2g}"
    return Attended(title, tuple(numbers), tuple(unit.format(values[number]) for number in numbers))


def read_small(
    slide: Slide, grid: TileGrid, numbers: Sequence[int], *, progress: ProgressCallback = silent
) -> list[npt.NDArray[np.uint8]]:
    """Read patches as RGB images whose longer side is 112 pixels at most.

    Raises
    ------
    SlideError
        If the pixels cannot be read.
    """
    import cv2

    from sam_mil_engine.slide.tiling import read_patch

    found = []
    for done, number in enumerate(numbers):
        progress(Progress("patches", done, len(numbers), unit="patches"))
        image = read_patch(slide, grid, number)
        if max(image.shape[:2]) > SIDE:
            image = np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        found.append(np.ascontiguousarray(image))
    return found
