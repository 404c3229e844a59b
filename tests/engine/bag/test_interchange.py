"""Bags of CLAM, TRIDENT, SAM-MIL and STAMP, read and written; what is written reads back as it was."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import foreign_files as made
import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.bag import clam, csv_files, h5, sam_mil, trident
from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.bag.foreign import ForeignBag, Known
from sam_mil_engine.bag.interchange import find_slides
from sam_mil_engine.bag.segment_pickles import read_pickled_segments, write_pickled_segments
from sam_mil_engine.errors import BagError, SettingsError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.membership import assign_groups
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.slide.tile_grid import TileGrid


def read_one(path: Path, *, known: Known | None = None, patches: Path | None = None) -> tuple[str, ForeignBag]:
    chosen, files = find_slides(path, patches=patches)
    assert len(files) == 1
    return chosen.name, chosen.read(files[0], known or Known())


@pytest.mark.parametrize("part", ["", "h5_files", "pt_files"])
def test_clam_features_are_read_with_the_size_of_their_patches(tmp_path: Path, part: str) -> None:
    name, found = read_one(made.clam_folder(tmp_path / "clam") / part)
    assert name == "clam"
    assert np.array_equal(found.bag.features, made.features_of())
    assert np.array_equal(found.bag.coords_px0, made.grid_coords())
    assert found.bag.coords_px0.dtype == np.int32
    assert found.grid.size_px0 == (64.0, 64.0)
    assert found.slide_size_px0 == (1400, 1100)
    assert found.notes == ()


def test_clam_patches_of_a_coarser_level_cover_more_of_level_0(tmp_path: Path) -> None:
    _, found = read_one(made.clam_folder(tmp_path / "clam", level=1))
    assert found.grid.size_px0 == (64.0, 64.0)
    assert (found.grid.read_level, found.grid.read_size, found.grid.output_size) == (1, (16, 16), 16)
    assert found.slide_size_px0 is None  # the file tells the size of level 1 only


def test_without_coordinate_files_the_distance_of_neighbours_is_taken_and_said(tmp_path: Path) -> None:
    folder = made.clam_folder(tmp_path / "clam")
    shutil.rmtree(folder / "patches")
    _, found = read_one(folder)
    assert found.grid.size_px0 == (64.0, 64.0)
    assert "distance between neighbours" in found.notes[0]
    _, told = read_one(folder, known=Known(patch_size_px0=128))
    assert told.grid.size_px0 == (128.0, 128.0)
    assert told.notes == ("patches overlap: neighbours are 64 px apart at level 0",)
    with pytest.raises(BagError, match="the coordinates of the patches are missing"):
        read_one(folder / "pt_files" / "s0.pt")


def test_features_and_coordinates_of_different_length_are_refused(tmp_path: Path) -> None:
    folder = made.clam_folder(tmp_path / "clam")
    torch.save(torch.zeros(11, 5), folder / "pt_files" / "s0.pt")
    with pytest.raises(BagError, match=r"11 features, but 12 coordinates"):
        read_one(folder / "pt_files")


def test_trident_features_are_read_with_magnification_overlap_and_encoder(tmp_path: Path) -> None:
    place = made.trident_folder(tmp_path / "job", overlap=8)
    for path in (tmp_path / "job", place, place / "features_uni_v1", place / "features_uni_v1" / "s0.h5"):
        name, found = read_one(path, known=Known(mpp=(0.5, 0.5)))
        assert name == "trident"
        assert np.array_equal(found.bag.features, made.features_of())
        assert (found.grid.size_px0, found.grid.step_px0) == ((64.0, 64.0), (48.0, 48.0))
        assert (found.grid.output_size, found.grid.mpp) == (32, 1.0)
        assert (found.power, found.slide_size_px0) == (20.0, (1400, 1100))
        assert found.bag.attrs["encoder"] == "uni_v1"


def test_several_folders_of_trident_features_must_be_told_apart(tmp_path: Path) -> None:
    place = made.trident_folder(tmp_path / "job")
    shutil.copytree(place / "features_uni_v1", place / "features_conch")
    with pytest.raises(BagError, match=r"features_conch, .*features_uni_v1"):
        find_slides(place)


def test_stamp_coordinates_become_level_0_pixels(tmp_path: Path) -> None:
    path = made.stamp_file(tmp_path / "uni2" / "sub" / "s0.h5", 0.25)
    name, found = read_one(tmp_path / "uni2", known=Known(mpp=(0.25, 0.25)))
    assert name == "stamp"
    assert np.array_equal(found.bag.coords_px0, made.grid_coords(start=(0, 0)))
    assert found.bag.features.dtype == np.float16
    assert (found.grid.size_px0, found.grid.output_size, found.grid.mpp) == ((64.0, 64.0), 32, 0.5)
    assert found.bag.attrs["encoder"] == "uni2"
    with pytest.raises(BagError, match="resolution of the slide is not known"):
        read_one(path)


def test_stamp_before_version_2_and_of_unknown_unit(tmp_path: Path) -> None:
    path = made.stamp_file(tmp_path / "old.h5", 0.25, tile_size_um=None, unit=None, tile_size_px=None)
    with pytest.raises(BagError, match="unit of its coordinates"):
        read_one(path, known=Known(mpp=(0.25, 0.25)))
    with h5py.File(path, "a") as file:
        file["coords"][:] = made.grid_coords(start=(0, 0), step=224)
    _, found = read_one(path, known=Known(mpp=(0.5, 0.5)))
    assert np.array_equal(found.bag.coords_px0, made.grid_coords(start=(0, 0), step=512))
    assert (found.grid.size_px0, found.grid.output_size) == ((512.0, 512.0), 224)


def members(found: ForeignBag) -> dict[int, list[int]]:
    groups = found.bag.groups
    assert groups is not None
    return {int(s): groups.patches(k).tolist() for k, s in enumerate(groups.segment_of_group)}


@pytest.mark.parametrize("missing", [(), ("segments",), ("sam_info",), ("seg_files",), ("h5_files",)])
def test_sam_mil_groups_are_read_from_what_there_is(tmp_path: Path, missing: tuple[str, ...]) -> None:
    folder, groups = made.sam_mil_folder(tmp_path / "data")
    assert 2 not in groups  # one mask lies far from every patch
    for name in missing:
        shutil.rmtree(folder / name)
    name, found = read_one(folder)
    assert name == "sam-mil"
    assert np.array_equal(found.bag.features, made.features_of())
    assert np.array_equal(found.bag.coords_px0, made.grid_coords())
    assert members(found) == groups
    means = [made.features_of()[patches].mean(axis=0) for patches in groups.values()]
    assert np.allclose(found.bag.group_features, means, atol=1e-6)
    area = np.asarray([made.nested_masks()[number].sum() for number in groups])
    smallest = [
        min((a for a, p in zip(area, groups.values(), strict=True) if n in p), default=1) for n in range(12)
    ]
    assert np.append(found.bag.groups.area_raster, 1)[found.bag.groups.group_of_patch].tolist() == smallest


def test_sam_mil_data_as_it_is_published_has_features_and_areas_alone(tmp_path: Path) -> None:
    folder, _ = made.sam_mil_folder(tmp_path / "data")
    for name in ("segments", "seg_files", "h5_files", "patches"):
        shutil.rmtree(folder / name)
    _, found = read_one(folder)
    with h5py.File(folder / "sam_info" / "s0.h5") as file:
        area = file["relative_area"][:12]
    groups = found.bag.groups
    assert np.append(groups.area_raster, 1)[groups.group_of_patch].tolist() == area.tolist()
    assert any("equal area" in note for note in found.notes)


def test_group_rows_that_nothing_explains_are_left_out_and_said(tmp_path: Path) -> None:
    folder, groups = made.sam_mil_folder(tmp_path / "data")
    for name in ("segments", "seg_files", "sam_info"):
        shutil.rmtree(folder / name)
    name, found = read_one(folder / "h5_files" / "s0.h5")
    assert name == "sam-mil"
    assert (len(found.bag), found.bag.groups) == (12, None)
    assert f"{len(groups)} group features are left out" in found.notes[-1]


def test_sam_mil_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    folder, groups = made.sam_mil_folder(tmp_path / "data")
    with h5py.File(folder / "seg_files" / "s0.h5", "a") as file:
        del file[f"seg_{next(iter(groups))}"]
    with pytest.raises(BagError, match=r"group features, but \d groups"):
        read_one(folder)
    with h5py.File(folder / "seg_files" / "s0.h5", "a") as file:
        file["seg_9"] = np.array([[1, 1]])
    with pytest.raises(BagError, match="names a patch at"):
        read_one(folder)


@pytest.mark.parametrize(("level", "down", "told"), [(0, 1, False), (1, 4, False), (2, 16, True), (2, 16, False)])
def test_pickled_segments_give_the_released_membership(tmp_path: Path, level: int, down: int, told: bool) -> None:
    path = made.segments_pickle(
        tmp_path / "s0.pkl", made.nested_masks(), level=level, ratio=2, level_downsample=down, parts=2
    )
    downsamples = ((1.0, 1.0), (4.0003, 4.0003), (16.01, 16.02)) if told else None
    found = read_pickled_segments(path, level_downsamples=downsamples)
    assert found.numbers.tolist() == [0, 1, 2, 3]
    assert found.segments.frame == Frame((96.0, 48.0), (2.0 * down, 2.0 * down))
    for number, mask in enumerate(made.nested_masks()):
        assert np.array_equal(found.segments.mask(number), mask)
    assert found.segments.predicted_iou.tolist() == [0.75] * 4


def test_segments_of_two_images_or_sizes_are_refused(tmp_path: Path) -> None:
    path = made.segments_pickle(tmp_path / "a.pkl", made.nested_masks())
    other = made.segments_pickle(tmp_path / "b.pkl", made.nested_masks(), start=(0, 0))
    path.write_bytes(path.read_bytes() + other.read_bytes())
    with pytest.raises(BagError, match="several images"):
        read_pickled_segments(path)
    sizes = [made.nested_masks()[0], made.nested_masks((30, 40))[0]]
    with pytest.raises(BagError, match="differ in size"):
        read_pickled_segments(made.segments_pickle(path, sizes))
    path.write_bytes(pickle.dumps([{"segmentation": sizes[0]}]))
    with pytest.raises(BagError, match="place of its image"):
        read_pickled_segments(path)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**16), factor=st.integers(1, 64), left=st.integers(0, 5000))
def test_segments_survive_the_pickle_and_plain_pickle_reads_it(
    tmp_path_factory: pytest.TempPathFactory, seed: int, factor: int, left: int
) -> None:
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(1, 40)), int(rng.integers(1, 40)))
    masks = [rng.random(size[::-1]) < 0.3 for _ in range(4)]
    frame = Frame((float(left), 7.0), (float(factor), float(factor)))
    segments = Segments.from_masks([mask for mask in masks if mask.any()], frame=frame, size_raster=size)
    path = tmp_path_factory.mktemp("pickle") / "s.pkl"
    areas = write_pickled_segments(path, segments, patch_size_px0=64)
    assert areas.tolist() == segments.area.tolist()
    again = read_pickled_segments(path).segments
    if len(segments):
        assert again.frame == segments.frame
    assert [again.mask(k).tolist() for k in range(len(again))] == [
        segments.mask(k).tolist() for k in range(len(segments))
    ]
    with path.open("rb") as file:
        _, *items = pickle.load(file)  # as SAM-MIL's own scripts read it
    assert [int(item["segmentation"].sum()) for item in items] == areas.tolist()


def test_a_downsample_that_is_not_whole_is_resampled_and_no_mask_is_lost(tmp_path: Path) -> None:
    tiny = np.zeros((442, 561), dtype=bool)
    tiny[200, 300] = True
    large = np.zeros_like(tiny)
    large[50:300, 100:400] = True
    frame = Frame((140.0, 109.0), (2.6, 2.4))
    segments = Segments.from_masks([large, tiny], frame=frame, size_raster=(561, 442))
    areas = write_pickled_segments(tmp_path / "s.pkl", segments, patch_size_px0=64)
    again = read_pickled_segments(tmp_path / "s.pkl").segments
    assert again.frame.downsample == (2.0, 2.0)  # 2.5, the mean, rounds to the even number
    assert areas.tolist() == again.area.tolist()
    assert len(again) == 2
    before, after = frame.area_to_px0(segments.area[0]), again.frame.area_to_px0(again.area[0])
    assert after == pytest.approx(before, rel=0.02)


def full_bag(tmp_path: Path) -> ForeignBag:
    """A slide with patches of 128 px read at half their size, masks and groups."""
    coords = made.grid_coords(start=(96, 48), step=128).astype(np.int32)
    grid = TileGrid(coords, (128.0, 128.0), 1, (64, 64), 64, (128.0, 128.0), 0.5)
    frame = Frame((96.0, 48.0), (8.0, 8.0))
    segments = Segments.from_masks(made.nested_masks(), frame=frame, size_raster=(80, 60))
    groups = assign_groups(segments, coords, grid.size_px0)
    attrs = {"encoder": "hf:some/model", "mpp": (0.25, 0.25), "path": str(tmp_path / "none.h5")}
    bag = FeatureBag("s0", coords, made.features_of(), attrs=attrs).with_groups(groups)
    return ForeignBag(bag, grid, segments, 40.0, (2000, 1500))


def test_round_trip_through_clam(tmp_path: Path) -> None:
    before = full_bag(tmp_path)
    clam.write(tmp_path / "out", before.bag, before.grid, slide_size_px0=(2000, 1500))
    with h5py.File(tmp_path / "out" / "patches" / "s0.h5") as file:
        said = file["coords"].attrs
        assert (said["patch_size"], said["patch_level"], said["name"]) == (64, 1, "s0")
        assert said["level_dim"].tolist() == [1000, 750]
    name, after = read_one(tmp_path / "out")
    assert name == "clam"
    assert np.array_equal(after.bag.features, before.bag.features)
    assert np.array_equal(after.bag.coords_px0, before.bag.coords_px0)
    assert (after.grid.size_px0, after.grid.read_size) == (before.grid.size_px0, before.grid.read_size)


@pytest.mark.parametrize(
    ("size_px0", "read_size", "downsample"),
    [(182.857, 183, 1.0), (256.0, 256, 1.0), (731.4, 183, 4.0), (733.0, 183, 4.0), (402.3, 256, 402.3 / 256)],
)
def test_resampled_patches_name_the_level_that_was_read(
    tmp_path: Path, size_px0: float, read_size: int, downsample: float
) -> None:
    """The patches of a wanted mpp are read in whole pixels: their quotient is not the level's downsample."""
    grid = TileGrid(made.grid_coords(), (size_px0,) * 2, 2, (read_size,) * 2, 256, (size_px0,) * 2, 0.5)
    assert grid.read_downsample == (downsample, downsample)
    bag = FeatureBag("s0", grid.coords_px0, made.features_of())
    clam.write(tmp_path / "out", bag, grid, slide_size_px0=(20000, 15000))
    _, after = read_one(tmp_path / "out")
    assert after.grid.size_px0 == (int(downsample) * read_size,) * 2, "CLAM counts in whole downsamples"


def test_a_downsample_below_one_says_nothing(tmp_path: Path) -> None:
    folder = made.clam_folder(tmp_path / "clam")
    for path in (folder / "patches").glob("*.h5"):
        with h5py.File(path, "r+") as file:
            file["coords"].attrs["downsample"] = (0.99921936, 0.99921936)
    _, found = read_one(folder)
    assert found.grid.size_px0 == (made.SIZE, made.SIZE), "the distance between neighbours"


def test_round_trip_through_trident(tmp_path: Path) -> None:
    before = full_bag(tmp_path)
    half = replace(before.bag, features=before.bag.features.astype(np.float16))
    paths = trident.write(tmp_path / "out", half, before.grid, slide_size_px0=(2000, 1500), power=40.0)
    assert [str(path.relative_to(tmp_path / "out")) for path in paths] == [
        "20x_64px_0px_overlap/patches/s0_patches.h5",
        "20x_64px_0px_overlap/features_hf-some-model/s0.h5",
    ]
    name, after = read_one(tmp_path / "out", known=Known(mpp=(0.25, 0.25)))
    assert name == "trident"
    assert after.bag.features.dtype == np.float16
    assert np.array_equal(after.bag.features, half.features)
    assert np.array_equal(after.bag.coords_px0, half.coords_px0)
    assert (after.grid.size_px0, after.grid.output_size, after.grid.mpp) == ((128.0, 128.0), 64, 0.5)
    assert (after.power, after.slide_size_px0, after.bag.attrs["encoder"]) == (40.0, (2000, 1500), "hf:some/model")


def test_trident_gets_the_usual_magnification_of_a_resolution_or_an_error(tmp_path: Path) -> None:
    before = full_bag(tmp_path)
    assert trident.write(tmp_path, before.bag, before.grid)[0].parts[-3] == "20x_64px_0px_overlap"
    unknown = replace(before.bag, attrs={})
    with pytest.raises(BagError, match="neither the magnification nor the resolution"):
        trident.write(tmp_path, unknown, before.grid)


def test_round_trip_through_sam_mil(tmp_path: Path) -> None:
    before = full_bag(tmp_path)
    sam_mil.write(tmp_path / "out", before.bag, before.grid, segments=before.segments)
    name, after = read_one(tmp_path / "out")
    assert name == "sam-mil"
    assert members(after) == members(before)
    for field in ("indptr", "indices", "area_raster", "group_of_patch", "segment_of_group"):
        assert np.array_equal(getattr(after.bag.groups, field), getattr(before.bag.groups, field))
    assert np.array_equal(after.bag.features, before.bag.features)
    assert np.array_equal(after.bag.group_features, before.bag.group_features)
    assert after.segments.frame == before.segments.frame
    assert np.array_equal(after.segments.label_image(), before.segments.label_image())
    with h5py.File(tmp_path / "out" / "sam_info" / "s0.h5") as file:
        n = len(before.bag)
        assert (file["coords"][n:] == -1).all()
        assert file["is_group_feat"][:].tolist() == [0] * n + [1] * len(before.bag.groups)
        assert (file["relative_area"][n:] == 0).all()


def test_round_trip_through_a_table(tmp_path: Path) -> None:
    before = full_bag(tmp_path)
    csv_files.write(tmp_path / "out", before.bag)
    name, after = read_one(tmp_path / "out")
    assert name == "csv"
    assert np.array_equal(after.bag.features, before.bag.features)
    assert np.array_equal(after.bag.coords_px0, before.bag.coords_px0)
    assert after.grid.size_px0 == (128.0, 128.0)


def test_a_native_bag_carries_every_attribute_that_clam_and_trident_write(tmp_path: Path) -> None:
    before = full_bag(tmp_path)
    with h5.edit_bag(tmp_path / "s0.h5") as file:
        h5.put_attributes(file, {"slide_id": "s0"})
        h5.put_tiles(file, before.grid, size_px0=(2000, 1500), power=None)
    clams = "patch_size patch_level downsample downsampled_level_dim level_dim name save_path"
    tridents = (
        "patch_size_level0 level0_magnification target_magnification overlap savetodir level0_width level0_height"
    )
    with h5py.File(tmp_path / "s0.h5") as file:
        said = dict(file["coords"].attrs)
    assert set(clams.split()) | set(tridents.split()) <= set(said)
    assert (said["level0_magnification"], said["target_magnification"]) == (40.0, 20.0)
    assert (said["patch_size"], said["patch_size_level0"], said["overlap"]) == (64, 128, 0)
    assert said["downsample"].tolist() == [2.0, 2.0]


def test_what_is_not_recognised_says_so(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="neither features of"):
        find_slides(tmp_path)
    with pytest.raises(BagError, match="no such file or folder"):
        find_slides(tmp_path / "none")
    with pytest.raises(SettingsError, match="no format 'x'"):
        find_slides(tmp_path, format="x")
    made.growing(tmp_path / "a.h5", {"imgs": np.zeros((2, 3))})
    with pytest.raises(BagError, match=r"holds no features, but \['imgs'\]"):
        find_slides(tmp_path)
