"""A made-up slide whose levels are arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from sam_mil_engine.slide.facts import exact_downsamples
from sam_mil_engine.slide.info import SlideInfo


class ArrayReader:
    """The tiny fake of the seam: a slide whose levels are arrays."""

    def __init__(self, *levels: npt.NDArray[np.uint8], mpp: tuple[float, float] | None = None):
        self.levels = levels
        self.closed = False
        sizes = tuple((level.shape[1], level.shape[0]) for level in levels)
        self.info = SlideInfo(
            path=Path("array"),
            reader="array",
            vendor="array",
            size_px0=sizes[0],
            level_sizes=sizes,
            level_downsamples=exact_downsamples(sizes),
            mpp=mpp,
        )

    def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        (x, y), (width, height) = location, size
        region = self.levels[level][y : y + height, x : x + width]
        assert region.shape == (height, width, 3), "a reader is never asked for what lies outside a level"
        return region.copy()

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="session")
def array_reader() -> type[ArrayReader]:
    """Class of readers of arrays: ``Slide(array_reader(level0, level1, mpp=(0.5, 0.5)))``."""
    return ArrayReader
