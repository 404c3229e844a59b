"""The patches of a window at a quarter of the step: sixteen grids, each shifted by some quarters.

A patch stands for a cell around its centre, as wide as the quarter of a step. Cell J of the fine grid is the patch
whose corner lies at round(J * step / 4); every fourth one is a patch of the slide's own grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..geometry import Frame
from .centre_test import CentreTest, prepared_pieces
from .tile_grid import TileGrid
from .tissue_regions import TissueRegions

#: Into how many parts a step is divided along each axis.
PARTS = 4
#: Shifts (x, y) in quarters of a step, so that the map is refined evenly; the first is the slide's own grid.
SHIFTS: tuple[tuple[int, int], ...] = (
    *((0, 0), (2, 2), (2, 0), (0, 2), (1, 1), (3, 3), (3, 1), (1, 3)),
    *((1, 0), (3, 2), (3, 0), (1, 2), (0, 1), (2, 3), (2, 1), (0, 3)),
)
Window = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class FinerGrid:
    """The cells of a window that hold tissue.

    Attributes
    ----------
    first
        Column and row of the first cell of the window on the fine grid.
    inside
        (rows, columns) bool: which cells hold a patch that is kept.
    step_px0, size_px0
        Width and height of a cell and of a patch in level-0 pixels.
    """

    first: tuple[int, int]
    inside: npt.NDArray[np.bool_]
    step_px0: tuple[float, float]
    size_px0: tuple[float, float]

    @property
    def frame(self) -> Frame:
        """Frame of an image with one pixel per cell."""
        origin = (np.asarray(self.first) - 0.5) * self.step_px0 + np.asarray(self.size_px0) / 2
        left, top = origin.tolist()
        return Frame(origin_px0=(left, top), downsample=self.step_px0)

    def cells(self, shift: tuple[int, int]) -> npt.NDArray[np.int64]:
        """(M, 2) column and row, in the window, of the patches of one of :data:`SHIFTS`."""
        rows, columns = np.nonzero(self.inside)
        cells: npt.NDArray[np.int64] = np.stack([columns, rows], axis=1)
        chosen: npt.NDArray[np.bool_] = ((cells + self.first) % PARTS == shift).all(axis=1)
        return cells[chosen]

    def corners_px0(self, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """(M, 2) top left corners of the patches of cells."""
        return np.round((cells + self.first) * self.step_px0).astype(np.int32)

    def in_window(self, corners_px0: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """(N, 2) corners of patches -> (N,): whose cell lies in the window."""
        cells = np.round(corners_px0 / np.asarray(self.step_px0)) - self.first
        size = self.inside.shape[::-1]
        return np.asarray(((cells >= 0) & (cells < size)).all(axis=1), dtype=bool)


def make_finer_grid(grid: TileGrid, tissue: TissueRegions, window_px0: Window, *, rule: str) -> FinerGrid:
    """Choose the patches at a quarter of the step whose centres lie in a window, by the test of the grid.

    Parameters
    ----------
    grid, tissue
        The patches and the tissue of the slide.
    window_px0
        Left, top, right, bottom.
    rule
        Which patches are kept, as in ``TileSettings.rule``.

    Returns
    -------
    FinerGrid
        Without a cell where the window is outside of the slide.
    """
    step = np.asarray(grid.step_px0) / PARTS
    half = np.asarray(grid.size_px0) / 2
    corners = np.asarray(window_px0, dtype=np.float64).reshape(2, 2) - half
    first = np.maximum(np.ceil(corners[0] / step), 0).astype(np.int64)
    width, height = np.maximum(np.floor(corners[1] / step).astype(np.int64) - first + 1, 0).tolist()
    rows, columns = np.mgrid[:height, :width]
    centres = np.round((np.stack([columns.ravel(), rows.ravel()], axis=1) + first) * step) + half
    inside = np.zeros(len(centres), dtype=bool)
    test = CentreTest.of(rule, grid.size_px0)
    for outer, holes in prepared_pieces(tissue):
        left, top, right, bottom = outer.bounds
        near = (centres >= np.subtract((left, top), half)).all(axis=1) & ~inside
        near &= (centres <= np.add((right, bottom), half)).all(axis=1)
        inside[near] = test(centres[near], outer, holes)
    cell, size = (float(step[0]), float(step[1])), grid.size_px0
    return FinerGrid((int(first[0]), int(first[1])), inside.reshape(height, width), step_px0=cell, size_px0=size)
