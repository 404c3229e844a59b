"""How the tissue of a slide is covered by overlapping tiles of one raster.

A tile is eight units wide and high, and its neighbours lie seven units apart, so that two neighbours share an
eighth of a tile. A unit is a whole number of pixels of the level that is read, so that every tile lies exactly on
the raster.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import numpy.typing as npt

from ...errors import SegmentError
from ...geometry import Frame
from ...settings import SegmentSettings
from ...slide.reduced_image import Window, coarsest_level_for, reduce_window
from ...slide.slide import Slide
from ...slide.tissue_regions import TissueRegions
from ..image import SegmentationImage, tissue_mask

#: Units along the side of a tile, and between the corners of neighbours.
SIDE, STEP = 8, 7


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A tile by its place in the rows and columns of all tiles."""

    row: int
    column: int

    @property
    def name(self) -> str:
        """Name for files."""
        return f"{self.row}-{self.column}"


@dataclass(frozen=True, slots=True)
class TileLayout:
    """The raster of the tissue, and those of its tiles that hold tissue.

    Attributes
    ----------
    frame, size_raster
        Of the raster that holds all tiles.
    unit
        Raster pixels of a unit.
    tiles
        In rows from the top, from left to right.
    level
        The level of the slide that is read.
    unit_level
        Pixels of that level in a unit (x, y).
    corner_level
        Left and top of the raster in pixels of that level.
    """

    frame: Frame
    size_raster: tuple[int, int]
    unit: int
    tiles: tuple[Tile, ...]
    level: int
    unit_level: tuple[int, int]
    corner_level: tuple[int, int]

    @property
    def side(self) -> int:
        """Width and height of a tile in raster pixels."""
        return SIDE * self.unit

    @property
    def overlap(self) -> int:
        """Raster pixels that two neighbours share."""
        return (SIDE - STEP) * self.unit

    def corner(self, tile: Tile) -> tuple[int, int]:
        """Left and top of a tile on the raster."""
        return tile.column * STEP * self.unit, tile.row * STEP * self.unit

    def image(self, slide: Slide, tissue: TissueRegions, tile: Tile) -> SegmentationImage:
        """Read one tile, with the tissue in it."""
        x, y = self.corner(tile)
        frame = Frame(tuple(self.frame.to_px0((x, y)).tolist()), self.frame.downsample)
        units_x, units_y = self.unit_level
        window = Window(
            left=self.corner_level[0] + tile.column * STEP * units_x,
            top=self.corner_level[1] + tile.row * STEP * units_y,
            width=SIDE * units_x,
            height=SIDE * units_y,
        )
        size = (self.side, self.side)
        rgb = reduce_window(
            lambda location, part: slide.read_level(self.level, location, part), window=window, target=size
        )
        return SegmentationImage(rgb=rgb, frame=frame, tissue=tissue_mask(tissue, frame, size))


def lay_tiles(
    slide: Slide, tissue: TissueRegions, settings: SegmentSettings, *, mpp: tuple[float, float]
) -> TileLayout:
    """Cover the tissue with tiles at the resolution ``settings.mpp``, or at level 0 where that is coarser.

    The resolution is met within half a percent; the frame says what it is.

    Parameters
    ----------
    settings
        ``mpp`` is the resolution; ``max_side`` is the side of a tile, rounded to a multiple of eight.
    mpp
        Micrometres per level-0 pixel (x, y).

    Raises
    ------
    SegmentError
        If there is no tissue, or no resolution in the settings.
    """
    bounds = tissue.bounds_px0
    if bounds is None or settings.mpp is None:
        raise SegmentError("there is no tissue to segment", where=slide.info.path)
    unit = max(1, round(settings.max_side / SIDE))
    asked = (max(1.0, settings.mpp / mpp[0]), max(1.0, settings.mpp / mpp[1]))
    level = coarsest_level_for(slide.info.level_downsamples, asked)
    down = slide.info.level_downsamples[level]
    units = (max(1, round(unit * asked[0] / down[0])), max(1, round(unit * asked[1] / down[1])))
    corner = (floor(max(0.0, bounds[0]) / down[0]), floor(max(0.0, bounds[1]) / down[1]))
    frame = Frame(
        origin_px0=(corner[0] * down[0], corner[1] * down[1]),
        downsample=(units[0] * down[0] / unit, units[1] * down[1] / unit),
    )
    width, height = slide.info.size_px0
    end = frame.from_px0((min(bounds[2], width), min(bounds[3], height)))
    columns, rows = (max(1, ceil((side / unit - (SIDE - STEP)) / STEP)) for side in end.tolist())
    return TileLayout(
        frame=frame,
        size_raster=((columns * STEP + SIDE - STEP) * unit, (rows * STEP + SIDE - STEP) * unit),
        unit=unit,
        tiles=_with_tissue(tissue, frame, unit, rows, columns),
        level=level,
        unit_level=units,
        corner_level=corner,
    )


def _with_tissue(tissue: TissueRegions, frame: Frame, unit: int, rows: int, columns: int) -> tuple[Tile, ...]:
    """Return the tiles of which any unit touches tissue."""
    coarse = Frame(frame.origin_px0, (frame.downsample[0] * unit, frame.downsample[1] * unit))
    size = (columns * STEP + SIDE - STEP, rows * STEP + SIDE - STEP)
    units: npt.NDArray[np.bool_] = tissue_mask(tissue, coarse, size)
    return tuple(
        Tile(row, column)
        for row in range(rows)
        for column in range(columns)
        if units[row * STEP : row * STEP + SIDE, column * STEP : column * STEP + SIDE].any()
    )
