"""Patches that overlap: an exact grid, maps of means, and files of other tools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sam_mil_engine.annotations.masks import tissue_area
from sam_mil_engine.drawing.colours import colours_of
from sam_mil_engine.drawing.images import draw_map
from sam_mil_engine.errors import SettingsError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.process.job import Tools
from sam_mil_engine.settings import ProcessSettings, TileSettings, key
from sam_mil_engine.slide.info import SlideInfo
from sam_mil_engine.slide.tile_grid import TileGrid
from sam_mil_engine.slide.tiling import make_tile_grid
from sam_mil_engine.slide.tissue_regions import TissueRegions

SIZE = (700, 500)
INFO = SlideInfo(
    path=Path("x.svs"),
    reader="fake",
    vendor="fake",
    size_px0=SIZE,
    level_sizes=(SIZE,),
    level_downsamples=((1.0, 1.0),),
    mpp=(0.5, 0.5),
)
OUTER = [(60, 50), (640, 90), (600, 460), (330, 300), (80, 430)]
BLOB = shapely.Polygon(OUTER, [[(200, 120), (300, 120), (250, 220)]])
TISSUE = TissueRegions.of([BLOB], method="default")


def grid_of(**settings: object) -> TileGrid:
    return make_tile_grid(INFO, TISSUE, TileSettings.of(**settings))


def by_hand(side: float, step: float) -> set[tuple[int, int]]:
    """CLAM's rule, written down corner by corner."""
    kept, (outer, hole) = set(), (shapely.Polygon(BLOB.exterior), shapely.Polygon(BLOB.interiors[0]))
    for column in range(int(SIZE[0] / step) + 1):
        for row in range(int(SIZE[1] / step) + 1):
            left, top = round(column * step), round(row * step)
            x, y = left + side / 2, top + side / 2
            four = [shapely.Point(x + i * side / 4, y + j * side / 4) for i in (-1, 1) for j in (-1, 1)]
            inside = any(outer.intersects(point) for point in four) and not hole.contains(shapely.Point(x, y))
            if inside and left < SIZE[0] and top < SIZE[1]:
                kept.add((left, top))
    return kept


@hypothesis_settings(max_examples=25)
@given(side=st.integers(24, 90), share=st.floats(0, 0.9), mpp=st.sampled_from([None, 0.5, 0.75]))
def test_the_grid_is_clams_rule_on_every_cell(side: int, share: float, mpp: float | None) -> None:
    overlap = int(side * share)
    scale = 1.0 if mpp is None else mpp / 0.5
    grid = grid_of(patch_size=side, overlap=overlap, mpp=mpp)
    assert grid.step_px0 == pytest.approx(((side - overlap) * scale,) * 2)
    assert set(map(tuple, grid.coords_px0.tolist())) == by_hand(side * scale, (side - overlap) * scale)
    np.testing.assert_array_equal(np.round(grid.cells * grid.step_px0), grid.coords_px0)


@pytest.mark.parametrize(("side", "overlap"), [(64, 32), (64, 48), (60, 20), (64, 9)])
def test_a_map_is_the_mean_of_the_patches_at_each_pixel(side: int, overlap: int) -> None:
    grid = grid_of(patch_size=side, overlap=overlap)
    values = np.random.default_rng(0).random(len(grid))
    values[::7] = np.nan
    image, frame = grid.raster(values)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    x, y = np.moveaxis(frame.to_px0(np.stack([columns, rows], axis=-1) + 0.5), -1, 0)
    left, top = grid.coords_px0[:, 0, None, None], grid.coords_px0[:, 1, None, None]
    covers = (left <= x) & (x < left + side) & (top <= y) & (y < top + side) & np.isfinite(values)[:, None, None]
    count = covers.sum(axis=0)
    total = (covers * np.nan_to_num(values)[:, None, None]).sum(axis=0)
    expected = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    np.testing.assert_allclose(image, expected, rtol=1e-6)
    assert count.max() > 1


def test_half_overlap_needs_no_finer_pixels() -> None:
    grid = grid_of(patch_size=64, overlap=32)
    assert grid.raster(np.ones(len(grid)))[1].downsample == (32, 32)


def test_maps_without_overlap_are_as_before() -> None:
    grid = grid_of(patch_size=64)
    values = np.arange(len(grid), dtype=np.float32)
    image, frame = grid.raster(values)
    assert frame.downsample == (64, 64)
    assert not grid.overlaps
    np.testing.assert_array_equal(np.sort(image[np.isfinite(image)]), values)


def test_a_drawn_map_shows_the_mean() -> None:
    image = np.full((10, 30, 3), 255, np.uint8)
    drawn = draw_map(
        image, Frame(), [(0, 0), (10, 0)], (20, 10), [0.0, 1.0], colormap="viridis", limits=(0, 1), opacity=1.0
    )
    left, both, right = colours_of(np.array([0.0, 0.5, 1.0]), colormap="viridis", limits=(0, 1))
    assert [drawn[5, x].tolist() for x in (5, 15, 25)] == [left.tolist(), both.tolist(), right.tolist()]


def test_keys_of_grids_without_overlap_stay() -> None:
    def tiles(**settings: object) -> str:
        chosen = ProcessSettings(tiles=TileSettings.of(**settings))
        return Tools(chosen).stage_key("tiles", "", {"tissue": "t"})

    before = {"patch_size": 512, "mpp": None, "source_mpp": None, "rule": "four_point"}
    assert tiles() == tiles(overlap=0) == key("tiles", "t", before)
    assert tiles(overlap=1) != tiles()


def test_what_cannot_be() -> None:
    with pytest.raises(SettingsError, match=r"^the overlap of \d+ px must be smaller than the patch of \d+ px"):
        TileSettings.of(patch_size=64, overlap=64)
    with pytest.raises(SettingsError, match="less than one pixel of the slide apart"):
        grid_of(patch_size=64, overlap=63, mpp=0.25)


def test_the_area_that_patches_cover_holds_the_tissue() -> None:
    grid = grid_of(patch_size=64, overlap=32)
    covered = shapely.union_all([shapely.box(x, y, x + 64, y + 64) for x, y in grid.coords_px0])
    assert tissue_area(TISSUE).difference(covered).area < 0.01 * BLOB.area
