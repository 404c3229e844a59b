"""Files that were made to do harm, or are damaged: refused by name, and nothing in them runs."""

from __future__ import annotations

import contextlib
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign_files as made
import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.bag import clam, h5
from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.bag.foreign import Known
from sam_mil_engine.bag.interchange import find_slides
from sam_mil_engine.bag.names import file_name
from sam_mil_engine.bag.pickles import load_pickles, save_pickle
from sam_mil_engine.bag.torch_files import load_pt
from sam_mil_engine.errors import BagError, DataError
from sam_mil_engine.slide.tile_grid import TileGrid


class Call:
    """Pickles to a call of ``function(*arguments)``."""

    def __init__(self, function: Callable[..., Any], *arguments: object, state: object = None):
        self.function, self.arguments, self.state = function, arguments, state

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            (self.function, self.arguments) if self.state is None else (self.function, self.arguments, self.state)
        )


def named(module: str, name: str, *after: bytes) -> bytes:
    """A pickle that pushes ``module.name`` and does what comes after."""
    return b"\x80\x04" + f"c{module}\n{name}\n".encode() + b"".join(after) + b"."


def touch(path: Path) -> Call:
    return Call(open, str(path), "w")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_a_function_is_refused_and_does_not_run(tmp_path: Path, protocol: int) -> None:
    victim, path = tmp_path / "victim", tmp_path / "s.pkl"
    for content in (touch(victim), [{"start_x": touch(victim)}], Call(eval, f"open({str(victim)!r}, 'w')")):
        path.write_bytes(pickle.dumps([{"start_x": 0}], 4) + pickle.dumps(content, protocol))
        with pytest.raises(BagError, match="was not read: it names"):
            load_pickles(path)
    assert not victim.exists()


_RECONSTRUCT = np.arange(2).__reduce__()[0]
_SCALAR = np.int32(1).__reduce__()[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(np.array([print, None], dtype=object), "it holds an array of", id="objects"),
        pytest.param(np.zeros(2, dtype=[("a", "i4")]), "it holds an array of", id="records"),
        pytest.param(np.array(["a"]), "it holds an array of", id="texts"),
        pytest.param(Call(_RECONSTRUCT, np.ndarray, (2**40,), b"b"), "begins an array", id="huge"),
        pytest.param(Call(_RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (2**40,), np.dtype("?"), False, b"ab")),
                     "in 2 bytes", id="more than its bytes"),
        pytest.param(Call(_RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (-1, 4), np.dtype("?"), False, b"abcd")),
                     "not made of numbers", id="negative"),
        pytest.param(Call(np.ndarray, (2**40,), "|b1", b""), "in 0 bytes", id="ndarray"),
        pytest.param(Call(_SCALAR, np.dtype("i4"), b"12345678"), "in 8 bytes", id="scalar"),
        pytest.param(Call(np.dtype, "i4", False, True, state=(3, "<", None, ("a",), {}, -1, -1, 0)),
                     "array of records", id="fields"),
    ],
)  # fmt: skip
def test_only_plain_arrays_of_numbers_come_out_of_a_pickle(tmp_path: Path, content: object, words: str) -> None:
    path = tmp_path / "s.pkl"
    path.write_bytes(pickle.dumps([content], 4))
    with pytest.raises(BagError, match=words):
        load_pickles(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"\x80\x04K\x01r\xff\xff\xff\x7f.", "memory slots", id="memo"),
        pytest.param(b"Pid\n.", "opcode PERSID", id="persistent"),
        pytest.param(b"\x80\x02\x82\x01.", "opcode EXT1", id="extension"),
        pytest.param(b"\x80\x05\x97.", "opcode NEXT_BUFFER", id="buffer"),
        pytest.param(b"(ios\nsystem\n.", "opcode INST", id="instance"),
        pytest.param(named("numpy", "dtype", b"}", b"X\x01\x00\x00\x00a", b"K\x01", b"s", b"b"),
                     "changes a function", id="build"),
        pytest.param(named("numpy.core.multiarray", "scalar", b"N}X\x0c\x00\x00\x00__defaults__)s\x86b"),
                     "changes a function", id="slots"),
        pytest.param(b"\x80\x05\x96" + struct.pack("<Q", 2**50) + b"ab.", "not a readable pickle", id="length"),
        pytest.param(b"\x80\x04K\x01", "not a readable pickle", id="cut"),
        pytest.param(b"hello", "not a readable pickle", id="text"),
    ],
)  # fmt: skip
def test_pickles_that_reach_out_or_are_damaged_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "s.pkl"
    path.write_bytes(content)
    with pytest.raises(BagError, match=words):
        load_pickles(path)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_what_segments_are_made_of_comes_out_as_it_was(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((7, 5)) > 0.5
    arrays = [mask, np.asfortranarray(mask), mask[::2, ::2], np.zeros((0, 3), ">i4"), np.arange(3, dtype=">f8")]
    content = [{"start_x": np.int32(4), "iou": np.float64(0.5), "ok": np.True_, "box": [1, (2, "a")]}, *arrays]
    path = tmp_path / "s.pkl"
    with path.open("wb") as file:
        pickle.dump(content, file, protocol)
        pickle.dump({"a": 1}, file, protocol)
    first, second = load_pickles(path)
    assert (first[0], second) == ({"start_x": 4, "iou": 0.5, "ok": True, "box": [1, (2, "a")]}, {"a": 1})
    for was, now in zip(arrays, first[1:], strict=True):
        assert np.array_equal(was, now)


def test_saved_pickles_name_nothing_but_the_array_class(tmp_path: Path) -> None:
    save_pickle(tmp_path / "s.pkl", [np.eye(3, dtype=bool)])
    content = (tmp_path / "s.pkl").read_bytes()
    assert b"numpy._core" not in content  # which NumPy 1 does not have
    assert np.array_equal(pickle.loads(content)[0], np.eye(3))
    assert np.array_equal(load_pickles(tmp_path / "s.pkl")[0][0], np.eye(3))


@settings(max_examples=150)
@given(st.binary(max_size=60), st.integers(0, 400))
def test_no_damage_to_a_pickle_ends_in_anything_but_a_bag_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int
) -> None:
    path = tmp_path_factory.mktemp("noise") / "s.pkl"
    whole = pickle.dumps([{"a": 1}, np.eye(3, dtype=bool), np.int32(4)], 4)
    path.write_bytes(whole[:place] + noise + whole[place + len(noise) :])
    with contextlib.suppress(BagError):
        load_pickles(path)


def hdf5(path: Path, fill: Callable[[h5py.File], object]) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["slide_id"] = "a"
        fill(file)
    return path


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(4, 3), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "features", shape=(4, 3))
    file.create_virtual_dataset("features", layout)


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        pytest.param(lambda f: f.create_dataset("features", shape=(10**12, 1024), chunks=(1, 1024), dtype="f4"),
                     "only 0 bytes of it are stored", id="absurd shape"),
        pytest.param(lambda f: f.__setitem__("features", h5py.ExternalLink("/etc/passwd", "/x")), "is a link",
                     id="external link"),
        pytest.param(lambda f: f.__setitem__("features", h5py.SoftLink("/coords")), "is a link", id="soft link"),
        pytest.param(lambda f: f.create_dataset("features", (4, 3), "u1", external=[("/etc/passwd", 0, 12)]),
                     "in another file", id="external storage"),
        pytest.param(virtual, "in another file", id="virtual"),
    ],
)  # fmt: skip
def test_hdf5_files_with_absurd_shapes_or_links_are_refused(
    tmp_path: Path, fill: Callable[[h5py.File], object], words: str
) -> None:
    path = hdf5(tmp_path / "a.h5", lambda f: (f.__setitem__("coords", made.grid_coords(4)), fill(f)))
    with pytest.raises(BagError, match=words):
        find_slides(path)
    with pytest.raises(BagError, match=words):
        h5.read_bag(path)


def test_hdf5_groups_in_a_circle_and_real_compression_are_fine(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file["loop"] = file["/"]
        file["coords"] = made.grid_coords(20_000, start=(0, 0))
        file.create_dataset("features", data=np.zeros((20_000, 64), np.float32), compression="gzip")

    assert len(h5.read_bag(hdf5(tmp_path / "a.h5", fill))) == 20_000


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("pwned", "w")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(Bomb(), "cannot be read", id="code"),
        pytest.param({"features": torch.zeros(2, 2)}, "holds a dict", id="dictionary"),
        pytest.param(torch.zeros(1).expand(10**12, 1024), "stores fewer values", id="absurd shape"),
        pytest.param(
            torch.eye(3).to_sparse(),
            "not a tensor",
            id="sparse",
            marks=pytest.mark.filterwarnings("ignore:Validating sparse tensor"),
        ),
    ],
)
def test_pt_files_hold_a_tensor_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "s.pt")
    with pytest.raises(BagError, match=words):
        load_pt(Path("s.pt"))
    assert not Path("pwned").exists()


def test_pt_files_may_hold_bfloat16(tmp_path: Path) -> None:
    torch.save(torch.ones(2, 3, dtype=torch.bfloat16), tmp_path / "s.pt")
    assert load_pt(tmp_path / "s.pt").dtype == np.float32
    (tmp_path / "cut.pt").write_bytes((tmp_path / "s.pt").read_bytes()[:200])
    with pytest.raises(BagError, match="cannot be read"):
        load_pt(tmp_path / "cut.pt")


@pytest.mark.parametrize(
    "name",
    [
        *["", ".", "..", "../a", "a/b", "a\\b", "/etc/passwd", "C:a", "a\0b", ".hidden", "=cmd()", "-x", "a\nb"],
        *["CON", "aux.1", "Lpt1", "slide.", "slide "],
    ],
)
def test_no_name_leads_a_file_out_of_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="is not a valid file name"):
        file_name(name)
    bag = FeatureBag(name, made.grid_coords().astype(np.int32), made.features_of())
    grid = TileGrid(bag.coords_px0, (64.0, 64.0), 0, (64, 64), 64, (64.0, 64.0))
    with pytest.raises(DataError, match="is not a valid file name"):
        clam.write(tmp_path / "out", bag, grid)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["TCGA-EJ-5519-01Z-00-DX1", "normal_027", "a..b", "Präparat 3 (HE)", "control"])
def test_usual_names_are_kept(name: str) -> None:
    assert file_name(name) == name


def test_coordinates_and_features_must_be_what_they_are_called(tmp_path: Path) -> None:
    for coords, features, words in (
        (np.zeros((4, 3), int), np.zeros((4, 2), "f4"), "coords have shape"),
        (np.full((4, 2), 0.5), np.zeros((4, 2), "f4"), "integers"),
        (np.full((4, 2), 2**40), np.zeros((4, 2), "f4"), "larger than any slide"),
        (made.grid_coords(4), np.zeros((4, 2), "i4"), "features have shape"),
        (made.grid_coords(4), np.full((4, 2), np.nan, "f4"), "not finite"),
        (np.zeros((4, 2), int), np.zeros((4, 2), "f4"), "coordinates of another patch|size of the patches"),
    ):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file["coords"], file["features"] = coords, features
        chosen, files = find_slides(path)
        with pytest.raises(BagError, match=words):
            chosen.read(files[0], Known(patch_size_px0=64))
