"""What the fuzzer found in bags: files over which libhdf5 crashes or never ends, and values that make no sense."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import foreign_files as made
import h5py
import numpy as np
import pytest
import torch

from sam_mil_engine import first_look
from sam_mil_engine.bag import h5
from sam_mil_engine.bag.foreign import Known
from sam_mil_engine.bag.interchange import FORMATS, find_slides
from sam_mil_engine.bag.segment_pickles import read_pickled_segments
from sam_mil_engine.bag.torch_files import load_pt
from sam_mil_engine.errors import BagError


def bag_with_texts(path: Path) -> bytearray:
    with h5py.File(path, "w") as file:
        file.attrs["slide_id"], file.attrs["note"] = "abcdefgh", "a second text"
        file["coords"], file["features"] = made.grid_coords(4).astype("i4"), np.zeros((4, 3), "f4")
    return bytearray(path.read_bytes())


def test_an_attribute_over_which_libhdf5_loops_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of the heap says to be longer than it is: what follows is read as pieces of no length."""
    path = tmp_path / "a.h5"
    content = bag_with_texts(path)
    content[content.index(b"abcdefgh") - 7] = 4
    path.write_bytes(content)
    monkeypatch.setattr(first_look, "MOST_WORK_S", 1.0)
    with pytest.raises(BagError, match="did not end within 1 s of processor time"):
        h5.read_attributes(path)
    with pytest.raises(BagError, match="did not end"):
        find_slides(path)


def test_an_attribute_over_which_libhdf5_crashes(tmp_path: Path) -> None:
    """A text says to be of a type that does not exist."""
    path = tmp_path / "a.h5"
    content = bag_with_texts(path)
    content[content.index(b"\x19\x01\x01\x00\x10") + 1] = 5
    path.write_bytes(content)
    with pytest.raises(BagError, match="the process that read it crashed"):
        h5.read_bag(path)


def test_an_attribute_that_claims_to_be_huge(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs.create("many", np.zeros(2**21, "u1"))
    with pytest.raises(BagError, match="attribute many of / claims 2097152 bytes"):
        h5.read_attributes(path)


NONSENSE = [
    pytest.param("clam", "patch_size", "=1+1", id="size is a text"),
    pytest.param("clam", "downsample", h5py.Empty("f4"), id="downsample is empty"),
    pytest.param("clam", "downsample", np.array(["[]"], dtype="S2"), id="downsample is a text"),
    pytest.param("clam", "level_dim", np.zeros(3), id="three sides"),
    pytest.param("trident", "target_magnification", np.zeros(0), id="no magnification"),
    pytest.param("trident", "patch_size", 10.0**300, id="size is beyond all numbers"),
    pytest.param("trident", "overlap", "true", id="overlap is a text"),
]


@pytest.mark.parametrize(("name", "attribute", "value"), NONSENSE)
def test_attributes_that_make_no_sense(tmp_path: Path, name: str, attribute: str, value: object) -> None:
    folder = made.clam_folder(tmp_path) if name == "clam" else made.trident_folder(tmp_path)
    for file in sorted((tmp_path).rglob("*.h5")):
        with h5py.File(file, "r+") as opened:
            opened["coords"].attrs[attribute] = value
            if "patch_size" in opened["coords"].attrs and "patch_level" not in opened["coords"].attrs:
                opened["coords"].attrs["patch_level"] = 0
    with pytest.raises(BagError):
        FORMATS[name].read(FORMATS[name].find(folder)[0], Known())


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("tile_size_um", "x"),
        ("tile_size_um", np.nan),
        ("tile_size_px", "\u0663\u0664x"),
        ("tile_size_um", [1.0, 2.0]),
    ],
)
def test_stamp_files_that_make_no_sense(tmp_path: Path, attribute: str, value: object) -> None:
    path = made.stamp_file(tmp_path / "a.h5", 0.5, **{attribute: value})
    with pytest.raises(BagError):
        FORMATS["stamp"].read(FORMATS["stamp"].find(path)[0], Known(mpp=(0.5, 0.5)))


def texts(file: h5py.File) -> None:
    del file["coords"]
    file["coords"] = np.array([[b"a", b"b"]] * 12)


def nothing(file: h5py.File) -> None:
    del file["features"]
    file["features"] = h5py.Empty("f4")


def single(file: h5py.File) -> None:
    del file["features"]
    file["features"] = np.float32(1)


@pytest.mark.parametrize("change", [texts, nothing, single])
def test_datasets_that_are_no_rows_of_numbers(tmp_path: Path, change: Callable[[h5py.File], None]) -> None:
    path = made.clam_folder(tmp_path) / "h5_files" / "s0.h5"
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(BagError):
        FORMATS["clam"].read(FORMATS["clam"].find(path)[0], Known(patch_size_px0=64))


@pytest.mark.parametrize("value", [[1], None, "much", {"a": 1}])
def test_pickled_scores_that_are_no_numbers(tmp_path: Path, value: object) -> None:
    import pickle

    path = made.segments_pickle(tmp_path / "s0.pkl", made.nested_masks())
    content = pickle.loads(path.read_bytes())
    content[1]["predicted_iou"] = value
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(BagError):
        read_pickled_segments(path)


def test_a_tensor_whose_pickle_ends_too_early(tmp_path: Path) -> None:
    import zipfile

    torch.save(torch.ones(2, 3), tmp_path / "whole.pt")
    path = tmp_path / "cut.pt"
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(path, "w") as cut:
        for name in whole.namelist():
            cut.writestr(name, b"\x80\x02." if name.endswith("data.pkl") else whole.read(name))
    with pytest.raises(BagError, match="cannot be read"):
        load_pt(path)
