"""The native bag file: what goes in comes out, in the documented places, whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from sam_mil_engine.bag import h5
from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.bag.h5.layout import ATTRIBUTES, DATASETS, markdown
from sam_mil_engine.bag.partial import PartialFeatures
from sam_mil_engine.errors import BagError, ProjectError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.slide.artefact_map import ArtefactMap
from sam_mil_engine.slide.tile_grid import TileGrid
from sam_mil_engine.slide.tissue_regions import TissueRegions

SQUARE = np.array([[0, 0], [100, 0], [100, 100], [0, 100]], dtype=float)


@pytest.fixture
def parts() -> tuple[TissueRegions, TileGrid, Segments, FeatureBag]:
    rng = np.random.default_rng(0)
    tissue = TissueRegions(
        polygons_px0=((SQUARE, (SQUARE * 0.5 + 10,)), (SQUARE + 200, ())),
        area_px0=np.array([7500.0, 10000.0]),
        method="otsu",
        left_out_px0=np.array([900.0, 400.0]),
    )
    coords = np.array([[0, 0], [32, 0], [0, 32]], dtype=np.int32)
    grid = TileGrid(coords, (32.0, 32.0), 0, (32, 32), 32, (32.0, 32.0), 0.5)
    masks = [rng.random((13, 17)) > 0.5 for _ in range(3)]
    segments = Segments.from_masks(
        masks, frame=Frame((3, 4), (8.0, 8.5)), size_raster=(17, 13), stability=[0.1, 0.2, 0.3]
    )
    groups = Groups(
        indptr=np.array([0, 2, 3]),
        indices=np.array([0, 1, 2], dtype=np.int32),
        area_raster=segments.area[[0, 2]].astype(float),
        area_um2=np.array([np.nan, 2.0]),
        group_of_patch=np.array([0, 0, 1], dtype=np.int32),
        segment_of_group=np.array([0, 2], dtype=np.int32),
    )
    features = rng.normal(size=(3, 5)).astype(np.float32)
    return tissue, grid, segments, FeatureBag("a", coords, features).with_groups(groups)


@pytest.fixture
def bag_file(tmp_path: Path, parts: tuple[TissueRegions, TileGrid, Segments, FeatureBag]) -> Path:
    tissue, grid, segments, bag = parts
    path = tmp_path / "bags" / "a.h5"
    with h5.edit_bag(path) as file:
        h5.put_attributes(file, {"slide_id": "a", "mpp": (0.5, 0.5), "vendor": None})
        h5.put_tissue(file, tissue)
        h5.put_tiles(file, grid, size_px0=(300, 300), power=20.0)
        kinds = np.array([[0, 1], [5, 1]], dtype=np.uint8)
        spoilt = np.array([1, 0, 5], dtype=np.uint8)
        h5.put_artefacts(file, ArtefactMap(kinds, Frame((3, 4), (16.0, 16.5))), spoilt, dropped={"fold": 2})
        h5.put_segments(file, segments, segmenter="regions", version="1")
        h5.put_edits(file, ["", "lymph node", ""])
        h5.put_features(file, bag.features, {"encoder": "fake"})
        h5.put_groups(file, bag, segments)
        h5.mark_stage(file, "groups", "abc")
    return path


def test_what_goes_in_comes_out(
    bag_file: Path, parts: tuple[TissueRegions, TileGrid, Segments, FeatureBag]
) -> None:
    tissue, grid, segments, bag = parts
    artefacts = h5.read_artefacts(bag_file)
    assert artefacts.map.kinds.tolist() == [[0, 1], [5, 1]]
    assert artefacts.map.frame == Frame((3, 4), (16.0, 16.5))
    assert (artefacts.patches, artefacts.dropped) == ({"pen": 1, "blur": 1}, {"fold": 2})
    assert artefacts.warning == "artefacts spoil 4 patches (1 pen, 1 blur, 2 fold); 2 are left out"
    read = h5.read_bag(bag_file).check()
    assert read.slide_id == "a"
    assert read.attrs["encoder"] == "fake"
    assert read.attrs["mpp"] == (0.5, 0.5)
    assert "vendor" not in read.attrs
    np.testing.assert_array_equal(read.features, bag.features)
    np.testing.assert_array_equal(read.group_features, bag.group_features)
    assert read.groups is not None
    for name in ("indptr", "indices", "area_raster", "area_um2", "group_of_patch", "segment_of_group"):
        np.testing.assert_array_equal(getattr(read.groups, name), getattr(bag.groups, name))

    again = h5.read_segments(bag_file)
    assert again is not None
    assert again.frame == segments.frame
    assert again.size_raster == segments.size_raster
    for number in range(len(segments)):
        np.testing.assert_array_equal(again.mask(number), segments.mask(number))

    outline = h5.read_tissue(bag_file)
    assert outline is not None
    assert (outline.method, len(outline), len(outline.polygons_px0[0][1])) == ("otsu", 2, 1)
    np.testing.assert_array_equal(outline.polygons_px0[0][1][0], tissue.polygons_px0[0][1][0])
    np.testing.assert_array_equal(outline.left_out_px0, tissue.left_out_px0)
    assert outline.left_out_share == pytest.approx(1300 / 18800)
    read_grid = h5.read_grid(bag_file)
    assert read_grid is not None
    np.testing.assert_array_equal(read_grid.coords_px0, grid.coords_px0)
    assert replace(read_grid, coords_px0=grid.coords_px0) == grid


def test_layout_is_the_documented_one(bag_file: Path) -> None:
    with h5py.File(bag_file) as file:
        found: dict[str, h5py.Dataset] = {}
        file.visititems(lambda name, item: found.update({f"/{name}": item}))
        found = {name: item for name, item in found.items() if isinstance(item, h5py.Dataset)}
        documented = {one.name: one for one in DATASETS}
        # Not here: masks of squares
        assert set(found) == set(documented) - {"/segments/step"}
        types = {name: one.dtype for name, one in documented.items() if one.dtype and name in found}
        assert {name: str(found[name].dtype) for name in types} == types
        dimensions = {
            name: len(one.shape.strip("(,)").split(",")) for name, one in documented.items() if name in found
        }
        assert {name: item.ndim for name, item in found.items()} == dimensions
        assert set(file.attrs) <= set(ATTRIBUTES)
        assert file["features"].chunks == (3, 5)
        clam = {"patch_size", "patch_level"}
        trident = {"patch_size_level0", "overlap", "level0_width", "level0_height", "target_magnification"}
        assert clam | trident <= set(file["coords"].attrs)
        assert json.loads(file.attrs["stages"]) == {"groups": "abc"}
        assert file.attrs["format_version"] == 1


def test_the_documentation_shows_the_layout() -> None:
    files = Path(__file__).parents[3] / "docs" / "files.md"
    assert markdown() in files.read_text(encoding="utf-8"), "docs/files.md: write there what markdown() returns"


def test_no_tissue_and_no_segments_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5.edit_bag(path) as file:
        h5.put_tissue(file, TissueRegions((), np.zeros(0)))
        h5.put_segments(file, Segments.empty(Frame(), (4, 3)), segmenter="regions", version="1")
    assert len(h5.read_tissue(path) or ()) == 0
    assert len(h5.read_segments(path) or ()) == 0


def test_an_error_while_writing_leaves_the_old_file(bag_file: Path) -> None:
    before = bag_file.read_bytes()
    with pytest.raises(ProjectError, match="name already exists"), h5.edit_bag(bag_file, drop=["features"]) as file:
        file["coords"] = 1
    assert bag_file.read_bytes() == before
    assert list(bag_file.parent.iterdir()) == [bag_file]


def test_dropping_a_stage_keeps_unknown_names(bag_file: Path) -> None:
    with h5.edit_bag(bag_file) as file:
        file["theirs"] = [1, 2]
        file.attrs["theirs"] = "yes"
        h5.mark_stage(file, "features", "k")
    with h5.edit_bag(bag_file, drop=["features", "groups"]):
        pass
    with h5py.File(bag_file) as file:
        assert "features" not in file
        assert "groups" not in file
        assert list(file["theirs"]) == [1, 2]
        assert file.attrs["theirs"] == "yes"
    assert h5.read_stages(bag_file) == {}
    with pytest.raises(BagError, match="no /features"):
        h5.read_bag(bag_file)


@pytest.mark.parametrize("content", [b"", b"not hdf5 at all" * 100])
def test_damaged_file_is_a_bag_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(content)
    with pytest.raises(BagError, match=r"x\.h5: it is not an HDF5 file"):
        h5.read_bag(path)
    with pytest.raises(BagError, match="no such bag"):
        h5.read_bag(tmp_path / "missing.h5")


def test_truncated_file_is_a_bag_error(bag_file: Path) -> None:
    data = bag_file.read_bytes()
    bag_file.write_bytes(data[: len(data) // 2])
    with pytest.raises(BagError, match="the file is truncated"):
        h5.read_bag(bag_file)


def test_read_only_folder(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(ProjectError, match="cannot be written"), h5.edit_bag(blocker / "a.h5"):
        pass


class TestCheck:
    def test_not_finite_names_the_row(self, parts: tuple[TissueRegions, TileGrid, Segments, FeatureBag]) -> None:
        bag = parts[3]
        bag.features[1, 2] = np.nan
        with pytest.raises(BagError, match=r"1 of 3 rows of features are not finite, the first is row 1"):
            bag.check()

    def test_empty(self) -> None:
        with pytest.raises(BagError, match="empty"):
            FeatureBag("a", np.zeros((0, 2), np.int32), np.zeros((0, 5), np.float32)).check()

    def test_duplicates(self) -> None:
        with pytest.raises(BagError, match="1 patches have the coordinates"):
            FeatureBag("a", np.zeros((2, 2), np.int32), np.zeros((2, 5), np.float32)).check()

    def test_groups_that_do_not_fit(self, parts: tuple[TissueRegions, TileGrid, Segments, FeatureBag]) -> None:
        bag = parts[3]
        with pytest.raises(BagError, match="groups know 3 patches, the bag has 2"):
            replace(bag, features=bag.features[:2], coords_px0=bag.coords_px0[:2]).check()
        with pytest.raises(BagError, match="group features have shape"):
            replace(bag, group_features=np.zeros((2, 4), np.float32)).check()


class TestPartialFeatures:
    def test_goes_on_after_the_last_commit(self, tmp_path: Path) -> None:
        bag = tmp_path / "a.h5"
        rows = np.arange(12, dtype=np.float32).reshape(4, 3)
        PartialFeatures(bag, key="k", width=3, dtype="float32").append(rows[:2])
        with (tmp_path / ".a.features").open("ab") as file:
            file.write(b"half a row of a killed run")
        partial = PartialFeatures(bag, key="k", width=3, dtype="float32")
        assert partial.rows == 2
        partial.append(rows[2:])
        np.testing.assert_array_equal(partial.read(), rows)
        partial.discard()
        assert list(tmp_path.iterdir()) == []

    def test_other_settings_start_anew(self, tmp_path: Path) -> None:
        bag = tmp_path / "a.h5"
        PartialFeatures(bag, key="k", width=3, dtype="float32").append(np.zeros((2, 3), np.float32))
        assert PartialFeatures(bag, key="other", width=3, dtype="float32").rows == 0
