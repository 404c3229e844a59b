"""Files of features that are locked, cut off, forbidden, shaped for slide encoders, or written to the letter."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import foreign_files as made
import h5py
import numpy as np
import pytest

from sam_mil_engine.bag import h5
from sam_mil_engine.bag.foreign import Known
from sam_mil_engine.bag.hdf5_checks import open_checked
from sam_mil_engine.bag.interchange import find_slides
from sam_mil_engine.bag.torch_files import load_pt
from sam_mil_engine.errors import BagError

HOLDER = """
import sys, h5py
file = h5py.File(sys.argv[1], "r+")
print("held", flush=True)
sys.stdin.read()
"""


def refusal(path: Path) -> BagError:
    with pytest.raises(BagError) as caught, open_checked(path):
        pass
    assert "elete" not in str(caught.value)
    assert caught.value.where == str(path)
    assert caught.value.hint
    return caught.value


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["features"] = np.zeros((4, 3), np.float32)
    return path


@pytest.mark.skipif(os.environ.get("HDF5_USE_FILE_LOCKING") == "FALSE", reason="locking is turned off")
def test_a_file_that_another_program_holds(bag: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(bag)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    error = refusal(bag)
    holder.communicate("")
    assert "another program holds the file open" in error.what
    assert "HDF5_USE_FILE_LOCKING" in error.hint
    with open_checked(bag) as file:
        assert "features" in file


def test_a_file_that_is_cut_off_or_of_another_kind(bag: Path, tmp_path: Path) -> None:
    data = bag.read_bytes()
    bag.write_bytes(data[: len(data) // 2])
    assert "the file is truncated" in refusal(bag).what
    other = tmp_path / "other.h5"
    other.write_bytes(b"<html>not found</html>")
    assert "not an HDF5 file" in refusal(other).what


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (PermissionError(errno.EACCES, "Unable to open file"), "permission to read"),
        (OSError(errno.ENOLCK, "unable to lock file, errno = 37"), "does not support locks"),
        (OSError("unable to lock file, errno = 11, error message = 'busy'"), "another program holds"),
        (OSError(errno.EIO, "Unable to read"), "its disk cannot be read"),
        (OSError("something new"), "it cannot be read"),
    ],
)
def test_every_error_of_the_system_has_its_own_words(bag: Path, monkeypatch, error: OSError, what: str) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(h5py, "File", fail)
    assert what in refusal(bag).what


@pytest.mark.parametrize("kind", ["both", "features", "pt"])
def test_a_leading_axis_of_one_is_dropped(tmp_path: Path, kind: str) -> None:
    import torch

    folder = made.clam_folder(tmp_path / "clam")
    files = sorted((folder / "h5_files").glob("*.h5"))
    assert len(files) == 1
    with h5py.File(files[0]) as file:
        features, coords = file["features"][:], file["coords"][:]
    if kind == "pt":
        (folder / "pt_files").mkdir(exist_ok=True)
        torch.save(torch.tensor(features)[None], folder / "pt_files" / f"{files[0].stem}.pt")
        files[0].unlink()
    else:
        with h5py.File(files[0], "w") as file:
            file["features"] = features[None]
            file["coords"] = coords[None] if kind == "both" else coords
    format_, (found,) = find_slides(folder)
    bag = format_.read(found, Known()).bag
    np.testing.assert_array_equal(bag.features, features)
    assert bag.coords_px0.shape == coords.shape


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"features": 1, "coords": 2}, "a dictionary with the keys features, coords"),
        ({}, "an empty dictionary"),
        ([1.0, 2.0], r"a list of 2 \(float\)"),
        ("text", "a str"),
    ],
)
def test_a_pt_file_of_another_kind_names_what_it_holds(tmp_path: Path, value: object, words: str) -> None:
    import torch

    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(BagError, match=words) as caught:
        load_pt(tmp_path / "a.pt")
    assert "torch.save(features, file)" in caught.value.hint


def write_to_the_letter(path: Path, *, groups: bool = True) -> Path:
    """A bag with what the description of the format asks for, and nothing else."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["slide_id"] = path.stem
        file["coords"] = np.array([(0, 0), (256, 0), (0, 256)], np.int32)
        file["features"] = rng.normal(size=(3, 4)).astype(np.float32)
        if groups:
            group = file.create_group("groups")
            group["features"] = rng.normal(size=(2, 4)).astype(np.float32)
            group["area"] = np.array([10.0, 20.0])
            group["box"] = np.zeros((2, 4), np.int32)
            group["predicted_iou"] = group["stability"] = np.ones(2, np.float32)
            group["indptr"] = np.array([0, 1, 3])
            group["indices"] = np.array([0, 1, 2], np.int32)
            group["of_patch"] = np.array([0, 1, 1], np.int32)
    return path


def test_a_bag_to_the_letter_of_the_format_is_read(tmp_path: Path) -> None:
    path = write_to_the_letter(tmp_path / "a.h5")
    bag = h5.read_bag(path).check()
    assert bag.groups is not None
    assert np.isnan(bag.groups.area_um2).all()
    assert bag.groups.segment_of_group.tolist() == [0, 1]
    assert h5.read_bag(write_to_the_letter(tmp_path / "b.h5", groups=False)).groups is None
    assert h5.read_grid(path) is None
    assert h5.read_segments(path) is None
    assert h5.read_segment_origin(path) is None
    assert not h5.read_place(path).bounds_known


def test_segments_and_patches_without_what_the_format_does_not_ask_for(tmp_path: Path) -> None:
    path = write_to_the_letter(tmp_path / "a.h5")
    mask = np.array([[True, False, True], [True, True, False]])
    with h5py.File(path, "r+") as file:
        file["coords"].attrs["size_px0"] = (256.0, 256.0)
        group = file.create_group("segments")
        packed = group.create_dataset("packed", data=np.packbits(mask.ravel()))
        packed.attrs.update({"origin_px0": (0.0, 0.0), "downsample": (8.0, 8.0), "size_raster": (9, 9)})
        group["box"] = np.array([[1, 2, 3, 2]], np.int32)
    segments = h5.read_segments(path)
    assert segments is not None
    np.testing.assert_array_equal(segments.crops[0], mask)
    assert segments.area.tolist() == [4]
    assert np.isnan(segments.stability).all()
    origin = h5.read_segment_origin(path)
    assert origin is not None
    assert origin.segmenter == "unknown"
    grid = h5.read_grid(path)
    assert grid is not None
    assert (grid.output_size, grid.step_px0) == (256, (256.0, 256.0))
