"""The grid of patches: its laws, CLAM's centre rule, resolutions, and reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sam_mil_engine.errors import SettingsError, SlideError
from sam_mil_engine.settings import TISSUE_PRESETS, TileSettings
from sam_mil_engine.slide.facts import exact_downsamples
from sam_mil_engine.slide.info import SlideInfo
from sam_mil_engine.slide.reader import Slide, open_slide
from sam_mil_engine.slide.tiling import make_tile_grid, read_patch
from sam_mil_engine.slide.tissue import find_tissue
from sam_mil_engine.slide.tissue_regions import TissueRegions


def info_of(width: int, height: int, *, mpp: tuple[float, float] | None = None, levels: int = 1) -> SlideInfo:
    sizes = tuple((max(1, width // 4**level), max(1, height // 4**level)) for level in range(levels))
    return SlideInfo(Path("x.svs"), "fake", "fake", (width, height), sizes, exact_downsamples(sizes), mpp=mpp)


def ring(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=float)


def tissue(*pieces: tuple[np.ndarray, tuple[np.ndarray, ...]]) -> TissueRegions:
    return TissueRegions(tuple(pieces), np.array([shapely.Polygon(o, h).area for o, h in pieces]))


def cells(info: SlideInfo, regions: TissueRegions, **settings: Any) -> set[tuple[int, int]]:
    return {(int(x), int(y)) for x, y in make_tile_grid(info, regions, TileSettings(**settings)).cells}


def kept_by_hand(info: SlideInfo, regions: TissueRegions, side: int) -> set[tuple[int, int]]:
    """CLAM's rule, written down patch by patch with another library (OpenCV)."""
    kept = set()
    for outer, holes in regions.polygons_px0:
        for column in range(-(-info.size_px0[0] // side)):
            for row in range(-(-info.size_px0[1] // side)):
                x, y, shift = column * side + side / 2, row * side + side / 2, side / 4
                corners = [(x + i * shift, y + j * shift) for i in (-1, 1) for j in (-1, 1)]
                inside = any(
                    cv2.pointPolygonTest(outer.astype(np.float32), corner, False) >= 0 for corner in corners
                )
                in_hole = any(cv2.pointPolygonTest(hole.astype(np.float32), (x, y), False) > 0 for hole in holes)
                if inside and not in_hole:
                    kept.add((column, row))
    return kept


def test_the_grid_is_clams_rule_on_every_cell() -> None:
    info = info_of(4000, 3000)
    regions = tissue(
        (
            np.array([(130.0, 200), (2900, 90), (3100, 1700), (1500, 2900), (300, 1500)]),
            (ring(900, 700, 1700, 1400),),
        ),
        (ring(3300, 2300, 3990, 2990), ()),
    )
    for side in (64, 100, 256, 512):
        assert cells(info, regions, patch_size=side) == kept_by_hand(info, regions, side)


def test_on_a_real_slide_too(cmu_slide: Path) -> None:
    with open_slide(cmu_slide) as slide:
        regions = find_tissue(slide, TISSUE_PRESETS["default"])
        for side in (128, 512):
            assert cells(slide.info, regions, patch_size=side) == kept_by_hand(slide.info, regions, side)


def test_the_centre_rule_is_stricter() -> None:
    info, regions = info_of(2048, 2048), tissue((ring(0, 0, 400, 200), ()))
    assert cells(info, regions) == {(0, 0)}
    assert cells(info, regions, rule="centre") == set()


def test_a_patch_over_the_border_is_kept_and_padded_white(array_reader: Any) -> None:
    image = np.full((600, 700, 3), 90, dtype=np.uint8)
    slide = Slide(array_reader(image))
    grid = make_tile_grid(slide.info, tissue((ring(0, 0, 700, 600), ())), TileSettings(patch_size=512))
    assert grid.coords_px0.tolist() == [[0, 0], [512, 0]]  # of the second row, all four points are below the slide
    pixels = read_patch(slide, grid, 1)
    assert (pixels[:, :188] == 90).all()
    assert (pixels[:, 188:] == 255).all()


@pytest.mark.parametrize("size", [(16, 16), (300, 250), (700, 40)])
def test_a_slide_smaller_than_a_patch_gives_patches(size: tuple[int, int], array_reader: Any) -> None:
    slide = Slide(array_reader(np.full((size[1], size[0], 3), 90, dtype=np.uint8)))
    grid = make_tile_grid(slide.info, tissue((ring(0, 0, *size), ())), TileSettings(patch_size=512))
    assert grid.coords_px0[0].tolist() == [0, 0]
    assert read_patch(slide, grid, 0).shape == (512, 512, 3)
    assert len(grid) == -(-size[0] // 512)


def test_no_tissue_gives_no_patches() -> None:
    grid = make_tile_grid(info_of(1000, 1000), tissue(), TileSettings())
    assert grid.coords_px0.shape == (0, 2)
    assert grid.coords_px0.dtype == np.int32


@hypothesis_settings(max_examples=60)
@given(
    size=st.tuples(st.integers(20, 2000), st.integers(20, 2000)),
    side=st.integers(16, 600),
    source=st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)),
    mpp=st.one_of(st.none(), st.floats(0.11, 4)),
)
def test_laws_of_the_grid(size: tuple[int, int], side: int, source: tuple[float, float], mpp: float | None) -> None:
    info = info_of(*size, mpp=source)
    settings = TileSettings(patch_size=side, mpp=mpp)
    grid = make_tile_grid(info, tissue((ring(-1, -1, size[0] + 1, size[1] + 1), ())), settings)
    x, y = grid.coords_px0.T
    assert grid.coords_px0.dtype == np.int32
    # Every patch starts on the slide, on the global grid, and none is there twice.
    assert ((x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])).all()
    assert len(np.unique(grid.cells, axis=0)) == len(grid)
    np.testing.assert_array_equal(np.round(grid.cells * np.array(grid.step_px0)), grid.coords_px0)
    # Rows of cells come one after the other.
    order = grid.cells[:, 1] * 10**6 + grid.cells[:, 0]
    assert (np.diff(order) > 0).all()
    # Physical size is exact on both axes; neighbours neither overlap nor leave a gap of a whole pixel.
    if mpp is not None:
        np.testing.assert_allclose(np.array(grid.size_px0) * source, side * mpp, rtol=1e-12)
        assert grid.mpp == mpp
    assert grid.step_px0 == grid.size_px0
    for axis, values in enumerate((x, y)):
        gaps = np.diff(np.unique(values))
        assert (np.abs(gaps - grid.size_px0[axis]) <= 1).all()


@pytest.mark.parametrize(
    ("mpp", "level", "read_size"), [(0.25, 0, 256), (0.5, 0, 512), (1.0, 1, 256), (2.0, 1, 512), (9.0, 2, 576)]
)
def test_an_mpp_reads_the_nearest_finer_level(mpp: float, level: int, read_size: int) -> None:
    info = info_of(40960, 40960, mpp=(0.25, 0.25), levels=3)
    grid = make_tile_grid(info, tissue((ring(0, 0, 40960, 40960), ())), TileSettings(patch_size=256, mpp=mpp))
    assert (grid.read_level, grid.read_size, grid.output_size) == (level, (read_size, read_size), 256)


def test_patches_by_mpp_show_the_same_place(array_reader: Any) -> None:
    fine = cv2.resize(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8), (2048, 2048))
    coarse = cv2.resize(fine, (512, 512), interpolation=cv2.INTER_AREA)
    slide = Slide(array_reader(fine, coarse, mpp=(0.25, 0.25)))
    whole = tissue((ring(0, 0, 2048, 2048), ()))
    for mpp in (0.5, 0.77, 1.3):
        grid = make_tile_grid(slide.info, whole, TileSettings(patch_size=128, mpp=mpp))
        for number in range(0, len(grid), 3):
            x, y = grid.coords_px0[number]
            right, bottom = x + grid.size_px0[0], y + grid.size_px0[1]
            if right <= 2048 and bottom <= 2048:
                crop = fine[y : round(bottom), x : round(right)]
                expected = cv2.resize(crop, (128, 128), interpolation=cv2.INTER_AREA).astype(int)
                assert np.abs(read_patch(slide, grid, number) - expected).mean() < 2


def test_mpp_without_a_resolution_asks_for_it() -> None:
    info, regions = info_of(4096, 4096), tissue((ring(0, 0, 4096, 4096), ()))
    with pytest.raises(SlideError, match=r"resolution of the slide is not known.*--source-mpp") as caught:
        make_tile_grid(info, regions, TileSettings(mpp=0.5))
    assert caught.value.where == "x.svs"
    grid = make_tile_grid(info, regions, TileSettings(patch_size=256, mpp=0.5, source_mpp=0.25))
    assert grid.size_px0 == (512.0, 512.0)
    assert make_tile_grid(info, regions, TileSettings(source_mpp=0.25)).mpp == 0.25
    assert make_tile_grid(info, regions, TileSettings()).mpp is None
    with pytest.raises(SettingsError, match="smaller than one pixel"):
        make_tile_grid(info, regions, TileSettings(patch_size=8, mpp=0.01, source_mpp=0.25))


def test_cells_are_tested_in_blocks_without_losing_any(monkeypatch: pytest.MonkeyPatch) -> None:
    info, regions = info_of(5000, 4000), tissue((ring(120, 130, 4800, 3900), (ring(2000, 1000, 3000, 2000),)))
    whole = cells(info, regions, patch_size=64)
    monkeypatch.setattr("sam_mil_engine.slide.tiling.CELLS_AT_ONCE", 100)
    assert cells(info, regions, patch_size=64) == whole
