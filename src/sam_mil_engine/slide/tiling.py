"""Make the grid of patches over the tissue, and read them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import SettingsError, SlideError
from ..settings import TileSettings
from .centre_test import CentreTest, prepared_pieces
from .facts import UInt8Image
from .info import SlideInfo
from .reduced_image import coarsest_level_for
from .slide import Slide
from .tile_grid import TileGrid
from .tissue_regions import TissueRegions

#: Cells whose centres are tested at once.
CELLS_AT_ONCE = 2**18


def make_tile_grid(info: SlideInfo, tissue: TissueRegions, settings: TileSettings) -> TileGrid:
    """Choose the cells of the slide's grid that hold tissue.

    The grid starts at (0, 0); its step is the patch's side without the overlap. A patch is kept by CLAM's centre
    test; at the right and bottom border it may reach over the slide, and is then padded white.

    Parameters
    ----------
    info
        The slide.
    tissue
        Its tissue.
    settings
        Side, resolution, overlap and rule.

    Returns
    -------
    The patches, row by row from the top left.

    Raises
    ------
    SlideError
        If a resolution in µm is asked for and the resolution of the slide is not known.
    SettingsError
        If a patch would be smaller than one level-0 pixel.
    """
    mpp = info.mpp or (None if settings.source_mpp is None else (settings.source_mpp, settings.source_mpp))
    side = settings.patch_size
    if settings.mpp is None:
        scale = (1.0, 1.0)
        output_mpp = None if mpp is None else (mpp[0] + mpp[1]) / 2
    elif mpp is None:
        raise SlideError(
            f"patches at {settings.mpp:g} µm per pixel were requested, but the resolution of the slide "
            f"is not known",
            where=info.path,
            hint="State it with --source-mpp, in µm per level-0 pixel",
            window_hint="Enter the resolution in the Analyze dock",
        )
    else:
        scale = (settings.mpp / mpp[0], settings.mpp / mpp[1])
        output_mpp = settings.mpp
    size_px0 = (side * scale[0], side * scale[1])
    if min(size_px0) < 1:
        raise SettingsError(
            f"a patch of {side} px at {settings.mpp:g} µm would be smaller than one pixel of the slide",
            where=info.path,
            hint="Choose a larger mpp or patch size",
        )
    step = side - settings.overlap
    step_px0 = (step * scale[0], step * scale[1])
    if min(step_px0) < 1:
        raise SettingsError(
            f"with an overlap of {settings.overlap} px, patches would be less than one pixel of the slide apart",
            where=info.path,
            hint="Choose a smaller overlap",
        )
    level = coarsest_level_for(info.level_downsamples, scale)
    down_x, down_y = info.level_downsamples[level]
    return TileGrid(
        coords_px0=_coords(info, tissue, size_px0, step=step_px0, rule=settings.rule),
        size_px0=size_px0,
        read_level=level,
        read_size=(max(1, round(size_px0[0] / down_x)), max(1, round(size_px0[1] / down_y))),
        output_size=side,
        step_px0=step_px0,
        mpp=output_mpp,
    )


def read_patch(slide: Slide, grid: TileGrid, number: int) -> UInt8Image:
    """Read patch ``number``: RGB (output_size, output_size, 3), resampled by area.

    Raises
    ------
    SlideError
        If the pixels cannot be read; the message names the place.
    """
    x, y = (int(value) for value in grid.coords_px0[number])
    pixels = slide.read_region((x, y), grid.read_level, grid.read_size)
    side = grid.output_size
    if pixels.shape[:2] == (side, side):
        return pixels
    shrinks = min(pixels.shape[:2]) >= side
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=method), dtype=np.uint8)


def _coords(
    info: SlideInfo, tissue: TissueRegions, size_px0: tuple[float, float], *, step: tuple[float, float], rule: str
) -> npt.NDArray[np.int32]:
    # A slide smaller than a patch is tested as a patch of the slide's own size.
    tested = (min(size_px0[0], info.size_px0[0]), min(size_px0[1], info.size_px0[1]))
    test = CentreTest.of(rule, tested)
    columns, rows = (_count(size, one) for size, one in zip(info.size_px0, step, strict=True))
    kept: list[npt.NDArray[np.int64]] = []
    for outer, holes in prepared_pieces(tissue):
        left, top, right, bottom = outer.bounds
        first_column = max(0, int((left - size_px0[0]) / step[0]) - 1)
        first_row = max(0, int((top - size_px0[1]) / step[1]) - 1)
        last_column, last_row = min(columns, int(right / step[0]) + 2), min(rows, int(bottom / step[1]) + 2)
        block = max(1, CELLS_AT_ONCE // max(1, last_column - first_column))
        for row in range(first_row, last_row, block):
            grid_rows, grid_columns = np.mgrid[row : min(row + block, last_row), first_column:last_column]
            cells = np.stack([grid_columns.ravel(), grid_rows.ravel()], axis=1)
            centres = np.round(cells * step) + np.asarray(tested) / 2
            inside = cells[test(centres, outer, holes)]
            kept.append(inside[:, 1] * columns + inside[:, 0])
    numbers = np.unique(np.concatenate(kept)) if kept else np.zeros(0, dtype=np.int64)
    cells = np.stack([numbers % columns, numbers // columns], axis=1)
    return np.round(cells * step).astype(np.int32).reshape(-1, 2)


def _count(size: int, step: float) -> int:
    """Cells that start on the slide."""
    count = int(np.ceil(size / step))
    return count - 1 if count > 1 and round((count - 1) * step) >= size else count
