"""Where a slide is spoilt: pen, folds, blur, air bubbles and dark spots, as an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..geometry import Frame
from .tile_grid import TileGrid

#: Kinds of artefacts; kind k is k + 1 in a map, 0 is none. Where several are found, the first one counts.
KINDS = ("pen", "fold", "dark spot", "air bubble", "blur")
#: Part of a patch from which it counts as spoilt.
SPOILT = 0.5


@dataclass(frozen=True, slots=True)
class ArtefactMap:
    """Artefacts of a slide.

    Attributes
    ----------
    kinds
        (height, width) uint8: 0 where nothing is wrong, else the number of the kind in :data:`KINDS` and 1.
    frame
        Where the image lies.
    """

    kinds: npt.NDArray[np.uint8]
    frame: Frame

    def of_patches(self, grid: TileGrid) -> npt.NDArray[np.uint8]:
        """Return (N,) uint8: the main kind of each patch of which half or more is spoilt, else 0."""
        height, width = self.kinds.shape
        corners = [
            np.rint(self.frame.from_px0(grid.coords_px0 + np.asarray(shift))).astype(np.int64)
            for shift in ((0, 0), grid.size_px0)
        ]
        (left, top), (right, bottom) = ((one[:, 0], one[:, 1]) for one in corners)
        right, bottom = np.maximum(right, left + 1), np.maximum(bottom, top + 1)
        left, right = np.clip(left, 0, width), np.clip(right, 0, width)
        top, bottom = np.clip(top, 0, height), np.clip(bottom, 0, height)
        area = np.maximum((right - left) * (bottom - top), 1)
        counts = np.zeros((len(KINDS), len(grid)))
        for number in range(len(KINDS)):
            sums = np.pad((self.kinds == number + 1).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
            counts[number] = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        main = counts.argmax(axis=0) + 1
        spoilt = counts.sum(axis=0) >= SPOILT * area
        return np.where(spoilt, main, 0).astype(np.uint8)


def count_kinds(kinds: npt.ArrayLike) -> dict[str, int]:
    """Return kind -> how often it occurs among numbers of kinds; kinds that do not occur are left out."""
    found = np.bincount(np.asarray(kinds, dtype=np.int64), minlength=len(KINDS) + 1)[1:]
    return {name: int(count) for name, count in zip(KINDS, found, strict=False) if count}
