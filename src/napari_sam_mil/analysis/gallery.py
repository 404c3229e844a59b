"""The patches of a slide in the order of their attention or probability, as small images. No Qt, no napari."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sam_mil_engine.mil.ranking import End, ranked
from sam_mil_engine.mil.scores import SlideScores
from sam_mil_engine.progress import Progress, ProgressCallback, silent

from .segment_table import shown_class

if TYPE_CHECKING:
    from sam_mil_engine.slide.slide import Slide
    from sam_mil_engine.slide.tile_grid import TileGrid

#: Side of the images in pixels.
SIDE = 112


@dataclass(frozen=True, slots=True)
class Order:
    """Patches in an order.

    Attributes
    ----------
    title
        What comes first, for the user.
    numbers
        (N,) all patches, the first one first.
    values
        (N,) the number of each patch, in the order of the slide.
    unit
        What the number is, with its format.
    """

    title: str
    numbers: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    unit: str

    def text(self, number: int) -> str:
        """Return what a patch has of it: ``attention 3.1``."""
        return self.unit.format(self.values[number])


def orders(scores: SlideScores) -> tuple[Order, ...]:
    """Return the orders in which patches can be shown; those of attention only if the model defines it."""
    column = shown_class(scores)
    attention, of = scores.relative_attention, scores.classes[column]
    ends: tuple[End, End] = ("most", "least")
    found: list[Order] = []
    if attention is not None:
        found += [
            Order(
                title=f"{end.capitalize()} attended patches",
                numbers=ranked(attention, end),
                values=attention,
                unit="attention {:.2g}",
            )
            for end in ends
        ]
    probability = scores.patch_probability[:, column]
    found += [
        Order(
            title=f"{end.capitalize()} probable {of}",
            numbers=ranked(probability, end),
            values=probability,
            unit="probability {:.2f}",
        )
        for end in ends
    ]
    return tuple(found)


def read_small(
    slide: Slide, grid: TileGrid, numbers: Sequence[int], *, progress: ProgressCallback = silent
) -> dict[int, npt.NDArray[np.uint8]]:
    """Read patches: number -> RGB image whose longer side is 112 pixels at most.

    Raises
    ------
    SlideError
        If the pixels cannot be read.
    """
    import cv2

    from sam_mil_engine.slide.tiling import read_patch

    found = {}
    for done, number in enumerate(numbers):
        progress(Progress("patches", done, len(numbers), unit="patches"))
        image = read_patch(slide, grid, number)
        if max(image.shape[:2]) > SIDE:
            image = np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        found[number] = np.ascontiguousarray(image)
    return found
