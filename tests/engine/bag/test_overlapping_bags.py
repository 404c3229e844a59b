"""Bags of patches that overlap, to other tools and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import foreign_files as made
import numpy as np
import pytest

from sam_mil_engine.bag import clam, h5, trident
from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.bag.foreign import ForeignBag, Known
from sam_mil_engine.bag.interchange import find_slides
from sam_mil_engine.slide.tile_grid import TileGrid

GRID = TileGrid(
    coords_px0=made.grid_coords(start=(96, 48), step=96).astype(np.int32),
    size_px0=(128.0, 128.0),
    read_level=0,
    read_size=(128, 128),
    output_size=64,
    step_px0=(96.0, 96.0),
    mpp=0.5,
)
BAG = FeatureBag("s0", GRID.coords_px0, made.features_of(), attrs={"encoder": "x", "mpp": (0.25, 0.25)})


def read(folder: Path) -> ForeignBag:
    chosen, files = find_slides(folder, patches=None)
    return chosen.read(files[0], Known(mpp=(0.25, 0.25)))


def test_through_clam_which_does_not_name_the_step(tmp_path: Path) -> None:
    clam.write(tmp_path, BAG, replace(GRID, output_size=128), slide_size_px0=(2000, 1500))
    after = read(tmp_path)
    assert (after.grid.size_px0, after.grid.step_px0) == (GRID.size_px0, GRID.step_px0)
    assert after.notes == ("patches overlap: neighbours are 96 px apart at level 0",)


def test_through_trident_which_names_it_in_pixels_of_the_patch(tmp_path: Path) -> None:
    paths = trident.write(tmp_path, BAG, GRID, slide_size_px0=(2000, 1500), power=40.0)
    assert paths[0].parent.parent.name == "20x_64px_16px_overlap"
    after = read(tmp_path)
    assert (after.grid.size_px0, after.grid.step_px0) == (GRID.size_px0, GRID.step_px0)
    assert after.notes == ()


def test_through_our_own_file(tmp_path: Path) -> None:
    with h5.edit_bag(tmp_path / "s0.h5") as file:
        h5.put_attributes(file, {"slide_id": "s0"})
        h5.put_tiles(file, GRID, size_px0=(2000, 1500), power=40.0)
        assert file["coords"].attrs["overlap"] == 16
    after = h5.read_grid(tmp_path / "s0.h5")
    assert after is not None
    assert (after.size_px0, after.step_px0, after.overlaps) == (GRID.size_px0, GRID.step_px0, True)
    np.testing.assert_array_equal(after.cells, GRID.cells)


@pytest.mark.parametrize("step", [128, 129])
def test_patches_that_touch_do_not_overlap(tmp_path: Path, step: int) -> None:
    coords = made.grid_coords(start=(96, 48), step=step).astype(np.int32)
    bag = FeatureBag("s0", coords, made.features_of(), attrs={"encoder": "x"})
    clam.write(tmp_path, bag, replace(GRID, coords_px0=coords, output_size=128), slide_size_px0=(2000, 1500))
    assert read(tmp_path).grid.step_px0 == (128.0, 128.0)
