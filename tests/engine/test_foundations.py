"""Errors, frames, settings and whole files: what everything else stands on."""

from __future__ import annotations

import errno
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from sam_mil_engine import errors, files
from sam_mil_engine.devices import pick_device
from sam_mil_engine.files import atomic_folder, atomic_path, atomic_write, writing_error
from sam_mil_engine.geometry import Frame, area_um2, um_to_px0
from sam_mil_engine.ngff import NgffVersion, write_ome_zarr
from sam_mil_engine.settings import ProcessSettings, TileSettings, TissueSettings, key, tissue_preset

finite = st.floats(-1e6, 1e6)
positive = st.floats(1e-3, 1e3)


class TestErrors:
    def test_says_what_where_and_what_to_do(self) -> None:
        error = errors.SlideError("it is empty", where=Path("/a/b.svs"), hint="Copy it again")
        assert str(error) == "/a/b.svs: it is empty. Copy it again"

    def test_travels_between_processes(self) -> None:
        error = pickle.loads(pickle.dumps(errors.BagError("what", where="where", hint="hint")))
        assert (type(error), error.what, error.where, error.hint) == (errors.BagError, "what", "where", "hint")

    def test_all_are_of_one_tree_and_in_its_image(self) -> None:
        kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
        assert all(issubclass(kind, errors.SamMilError) for kind in kinds)
        for kind in kinds:
            assert kind.__name__ in (errors.__doc__ or "")


class TestFrame:
    @given(
        st.tuples(finite, finite), st.tuples(positive, positive), st.lists(st.tuples(finite, finite), max_size=5)
    )
    def test_there_and_back(
        self, origin: tuple[float, float], step: tuple[float, float], points: list[tuple]
    ) -> None:
        frame = Frame(origin, step)
        points_px0 = np.asarray(points, dtype=float).reshape(-1, 2)
        np.testing.assert_allclose(frame.to_px0(frame.from_px0(points_px0)), points_px0, atol=1e-5)
        np.testing.assert_allclose(frame.area_from_px0(frame.area_to_px0([3.0, 4.0])), [3, 4])
        np.testing.assert_allclose(frame.area_to_px0(1.0), step[0] * step[1])

    def test_a_corner_by_hand(self) -> None:
        frame = Frame((100, 200), (4, 8))
        np.testing.assert_array_equal(frame.to_px0([[0, 0], [1, 2]]), [[100, 200], [104, 216]])

    @pytest.mark.parametrize("downsample", [(0, 1), (-1, 1), (float("nan"), 1)])
    def test_nonsense_is_refused(self, downsample: tuple[float, float]) -> None:
        with pytest.raises(ValueError, match="positive downsample"):
            Frame((0, 0), downsample)

    def test_micrometres(self) -> None:
        np.testing.assert_allclose(um_to_px0([2.5, 10], (0.25, 0.5)), [10, 20])
        assert area_um2(8, (0.25, 0.5)) == 1
        assert np.isnan(area_um2(8, None))
        assert Frame((1, 2), (4, 8)).um_per_pixel((0.25, 0.5)) == (1, 4)
        assert Frame((1, 2), (4, 8)).finer(2) == Frame((1, 2), (2, 4))


class TestSettings:
    def test_a_bad_value_is_named(self) -> None:
        with pytest.raises(errors.SettingsError, match=r"patch_size: .*greater than or equal to 8"):
            TileSettings.of(patch_size=1)
        with pytest.raises(errors.SettingsError, match="colour"):
            TileSettings.parse({"colour": "red"})
        with pytest.raises(errors.SettingsError, match="median_blur must be odd"):
            TissueSettings.of(median_blur=4)
        with pytest.raises(errors.SettingsError, match=r"'x'.*default, biopsy, resection, tcga"):
            tissue_preset("x")

    def test_key_changes_with_any_setting_and_nothing_else(self) -> None:
        plain = ProcessSettings()
        assert key(plain) == key(ProcessSettings.parse(plain.model_dump(mode="json")))
        assert key(plain) != key(ProcessSettings(tiles=TileSettings(patch_size=256)))
        assert len(key(plain)) == 12

    def test_presets_are_those_of_clam(self, shared_data: Path) -> None:
        import csv

        names = {"biopsy": "bwh_biopsy", "resection": "bwh_resection", "tcga": "tcga"}
        for ours, theirs in names.items():
            with (shared_data / "tables" / "clam" / f"presets__{theirs}.csv").open() as file:
                row = next(iter(csv.DictReader(file)))
            preset = tissue_preset(ours)
            assert preset.saturation_threshold == int(row["sthresh"])
            assert preset.median_blur == int(row["mthresh"])
            assert preset.close_size == int(row["close"])
            assert preset.otsu == (row["use_otsu"] == "TRUE")
            assert preset.min_tissue_area == float(row["a_t"])
            assert preset.min_hole_area == float(row["a_h"])
            assert preset.max_holes == int(row["max_n_holes"])

    def test_unknown_device(self) -> None:
        with pytest.raises(errors.SettingsError, match="'abacus' cannot be used here"):
            pick_device("abacus")


class TestFiles:
    def test_whole_or_not_at_all(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "file.txt"
        atomic_write(path, "old")
        with pytest.raises(TypeError), atomic_path(path) as temporary:
            temporary.write_text(b"no text")  # type: ignore[arg-type]
        assert path.read_text() == "old"
        atomic_write(path, b"new")
        assert path.read_bytes() == b"new"
        assert list(path.parent.iterdir()) == [path]

    def test_a_folder_too(self, tmp_path: Path) -> None:
        path = tmp_path / "folder"
        for text in ("first", "second"):
            with atomic_folder(path) as temporary:
                (temporary / text).write_text(text)
        assert [item.name for item in path.iterdir()] == ["second"]
        with pytest.raises(TypeError), atomic_folder(path) as temporary:
            (temporary / "third").write_text(b"no text")  # type: ignore[arg-type]
        assert [item.name for item in path.iterdir()] == ["second"]
        assert list(tmp_path.iterdir()) == [path]

    def test_a_file_that_another_program_has_open_for_a_moment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Windows refuses to rename over an open file: tried again, and an error only where it stays open."""
        renames: list[str] = []
        waits: list[float] = []

        def replace(self: Path, target: Path) -> Path:
            renames.append(target.name)
            if len(renames) < 3 or target.name == "held.txt":
                raise PermissionError(errno.EACCES, "used by another process", str(target))
            return os_replace(self, target)

        os_replace = Path.replace
        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(files, "_WAITS_S", (0.1, 0.2, 0.4))
        monkeypatch.setattr(files.time, "sleep", waits.append)
        atomic_write(tmp_path / "a.txt", "new")
        assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"
        assert waits == [0.1, 0.2]
        with pytest.raises(errors.ProjectError, match="cannot write here"):
            atomic_write(tmp_path / "held.txt", "new")
        assert renames.count("held.txt") == 4
        assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]

    @pytest.mark.parametrize(
        ("number", "words"),
        [
            (errno.ENOSPC, r"the disk is full: 2\.0 MiB are needed, .* are free"),
            (errno.EDQUOT, r"your disk quota is used up: 2\.0 MiB are needed"),
            (errno.EROFS, "cannot write here"),
            (errno.EIO, "cannot be"),
        ],
    )
    def test_each_failure_says_what_to_do(self, tmp_path: Path, number: int, words: str) -> None:
        error = writing_error(OSError(number, "words of the system"), tmp_path / "x", needed=2 * 2**20)
        with pytest.raises(errors.ProjectError, match=words):
            raise error
        assert error.hint


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_opens_with_the_reference_reader(tmp_path: Path, version: NgffVersion) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    labels = np.arange(700 * 600, dtype=np.int32).reshape(700, 600)
    frame = Frame((100, 40), (4, 8))
    write_ome_zarr(tmp_path / "x.ome.zarr", labels, frame=frame, mpp=(0.5, 0.25), name="x", version=version)
    location = parse_url(tmp_path / "x.ome.zarr")
    assert location is not None
    node = next(iter(Reader(location)()))
    assert [level.shape for level in node.data] == [(700, 600), (350, 300), (175, 150)]
    np.testing.assert_array_equal(node.data[0].compute(), labels)
    np.testing.assert_array_equal(node.data[1].compute(), labels[::2, ::2])
    scale, translation = node.metadata["coordinateTransformations"][0]
    assert scale["scale"] == [8 * 0.25, 4 * 0.5]
    # the centre of the first raster pixel, in pixel-centre coordinates of level 0: origin + (downsample - 1) / 2
    assert translation["translation"] == [(40 + 3.5) * 0.25, (100 + 1.5) * 0.5]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group = zarr.open_group(tmp_path / "x.ome.zarr", mode="r")
    assert group.metadata.zarr_format == {"0.4": 2, "0.5": 3}[version]
    if version == "0.4":  # QuPath reads it through jzarr: chunks in folders, Blosc or zlib
        about = json.loads((tmp_path / "x.ome.zarr" / "0" / ".zarray").read_text())
        assert (about["compressor"]["id"], about["dimension_separator"]) == ("blosc", "/")
