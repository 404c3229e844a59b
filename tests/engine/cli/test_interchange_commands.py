"""``import``, ``group`` and ``export`` as their users run them, and what they leave behind."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from shapely import box

from sam_mil_engine.annotations.geojson import write_geojson
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.annotations.reading import read_annotations
from sam_mil_engine.bag import h5
from sam_mil_engine.convert.clam_tables import read_labels, read_process_list, write_process_list
from sam_mil_engine.convert.exporting import export_slides
from sam_mil_engine.convert.grouping import group_slides
from sam_mil_engine.convert.importing import import_slides
from sam_mil_engine.convert.source import Source
from sam_mil_engine.errors import DataError, SettingsError
from sam_mil_engine.process.project import Project
from sam_mil_engine.settings import GroupSettings, ProcessSettings, SegmentSettings
from sam_mil_engine.training.split_files import read_splits
from tiny_slides import write_tiny_slide
from warm_commands import run_command as run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bag"))
import foreign_files as made

REGIONS = ProcessSettings(segments=SegmentSettings(segmenter="regions"))
RELEASED = ProcessSettings(groups=GroupSettings(rule="released"))


def members(path: Path) -> dict[int, list[int]]:
    groups = h5.read_bag(path).groups
    return {int(s): groups.patches(k).tolist() for k, s in enumerate(groups.segment_of_group)}


@pytest.fixture
def sam_mil(tmp_path: Path) -> Iterator[tuple[Path, dict[int, list[int]]]]:
    return made.sam_mil_folder(tmp_path / "data")


def test_from_clam_over_a_project_to_every_format(tmp_path: Path) -> None:
    folder = made.clam_folder(tmp_path / "clam")
    made.clam_folder(folder, "s1", seed=1)
    (folder / "h5_files" / "s1.h5").write_bytes(b"not hdf5")
    (tmp_path / "labels.csv").write_text("case_id,slide_id,label\np0,s0,tumor_tissue\np0,s1,normal_tissue\n")
    project = tmp_path / "study"

    failed = run(
        "import", folder, "-o", project, "--labels", tmp_path / "labels.csv", "--encoder", "resnet50", code=1
    )
    assert "1 of 2 slides done" in failed.stdout
    assert "s1.h5: it is not an HDF5 file" in failed.stderr
    rows = Project(project).rows()
    assert (rows["s0"].state, rows["s0"].tiles, rows["s1"].state) == ("done", 12, "failed")
    assert (project / "labels.csv").read_text().splitlines()[1] == "s0,tumor_tissue,p0"
    bag = h5.read_bag(project / "bags" / "s0.h5").check()
    assert np.array_equal(bag.features, made.features_of())
    assert bag.attrs["encoder"] == "resnet50"

    made.clam_folder(folder, "s1", seed=1)
    again = json.loads(run("import", folder, "-o", project, "--encoder", "resnet50", "--json").stdout)
    assert [row["reused"] for row in again] == [True, False]
    assert "Traceback" not in run("report", project, "-o", tmp_path / "page.html").stderr

    made.segments_pickle(tmp_path / "Segments" / "s0.pkl", made.nested_masks())
    grouped = run("group", project, "-o", project, "--segments", tmp_path / "Segments", code=1)
    assert "there are no segments of 's1'" in grouped.stderr
    assert h5.read_bag(project / "bags" / "s0.h5").check().groups is not None

    (tmp_path / "splits.csv").write_text("slide_id,split\ns0,train\ns1,test\n")
    tables = ("--labels", project / "labels.csv", "--splits", tmp_path / "splits.csv")
    assert "2 of 2 slides written" in run("export", project, "--to", "clam", "-o", tmp_path / "out", *tables).stdout
    with (tmp_path / "out" / "labels.csv").open() as file:
        assert next(csv.DictReader(file)) == {"case_id": "p0", "slide_id": "s0", "label": "tumor_tissue"}
    split = read_splits(tmp_path / "out" / "splits")[0]
    assert (split.train, split.val, split.test) == (("s0",), (), ("s1",))
    assert read_process_list(tmp_path / "out" / "process_list_autogen.csv", ["s0", "s1"]) == ({"s0", "s1"}, [])
    assert (
        "neither the magnification nor the resolution"
        in run("export", project, "--to", "trident", "-o", tmp_path, code=1).stderr
    )
    assert "there is no export format 'x'" in run("export", project, "--to", "x", "-o", tmp_path, code=2).stderr


def test_labelled_slides_without_features_are_counted_and_named(tmp_path: Path) -> None:
    folder, project = made.clam_folder(tmp_path / "clam"), tmp_path / "study"
    import_once = ("import", folder, "-o", project, "--encoder", "resnet50")
    names = [f"gone-{number:02}" for number in range(12)]
    labels = tmp_path / "labels.csv"
    labels.write_text("slide_id,label\n" + "".join(f"{name},a\n" for name in ("s0.svs", *names)))
    told = run(*import_once, "--labels", labels).stderr
    assert "labels: warning: 12 labelled slides have no features: gone-00, gone-01" in told
    assert "gone-09 and 2 more" in told
    assert "s0.svs" not in told

    other = made.clam_folder(tmp_path / "more", "gone-00", seed=1)
    shutil.rmtree(tmp_path / "clam")
    (project / "labels.csv").unlink()
    labels.write_text("slide_id,label\ns0,a\ngone-00,b\n")  # one is a bag of before, one is imported now
    assert "warning" not in run("import", other, "-o", project, "--labels", labels).stderr
    (project / "labels.csv").unlink()
    labels.write_text("slide_id,label\ns0,a\ngone-01,b\n")
    told = run("import", other, "-o", project, "--labels", labels).stderr
    assert "warning: 1 labelled slide has no features: gone-01" in told


@pytest.mark.parametrize("part", ["h5_files", "pt_files"])
def test_group_gives_the_released_membership_without_a_slide(
    tmp_path: Path, sam_mil: tuple[Path, dict[int, list[int]]], part: str
) -> None:
    """Supplement §2: features that exist, their coordinates and Segments; no slide is read, nothing is encoded."""
    data, expected = sam_mil
    plain = made.clam_folder(tmp_path / "plain")
    source = Source(plain / part, patches=plain / "patches")
    (item,) = group_slides(source, tmp_path / "study", segments=data / "segments", settings=RELEASED)
    assert item.error is None
    path = tmp_path / "study" / "bags" / "s0.h5"
    assert members(path) == expected
    bag = h5.read_bag(path).check()
    assert np.array_equal(bag.features, made.features_of())
    means = [made.features_of()[patches].mean(axis=0) for patches in expected.values()]
    assert np.allclose(bag.group_features, means, atol=1e-6)
    assert h5.read_segment_origin(path).segmenter == "sam"

    before = path.read_bytes()
    (again,) = group_slides(source, tmp_path / "study", segments=data / "segments", settings=RELEASED)
    assert again.result.reused
    assert path.read_bytes() == before
    (other,) = group_slides(source, tmp_path / "study", segments=data / "segments")
    assert not other.result.reused  # another rule, another key


def test_a_project_grouped_in_place_keeps_features_and_segments(
    tmp_path: Path, sam_mil: tuple[Path, dict[int, list[int]]]
) -> None:
    data, expected = sam_mil
    project = tmp_path / "study"
    assert [item.result.groups for item in import_slides(Source(data), project)] == [len(expected)]
    path = project / "bags" / "s0.h5"
    assert members(path) == expected
    (item,) = group_slides(Source(project), project)
    assert item.error is None
    assert h5.read_bag(path).attrs["imported_from"] == "sam-mil"
    assert set(expected) <= set(members(path))  # `any` takes all that the released rule takes
    assert len(h5.read_segments(path)) == 4
    assert not (project / "superseded").exists()


def test_without_segments_the_slide_is_segmented_and_nothing_encoded(tmp_path: Path) -> None:
    slides = tmp_path / "slides"
    slides.mkdir()
    write_tiny_slide(slides / "s0.tiff")
    source = Source(made.clam_folder(tmp_path / "clam"), slides=slides)
    (item,) = group_slides(source, tmp_path / "study", settings=REGIONS)
    assert item.error is None
    path = tmp_path / "study" / "bags" / "s0.h5"
    bag = h5.read_bag(path).check()
    assert len(bag.groups) > 3
    assert np.array_equal(bag.features, made.features_of())
    assert bag.attrs["mpp"] == (0.5, 0.5)
    assert h5.read_segment_origin(path).segmenter == "regions"
    assert (tmp_path / "study" / "segments" / "s0.ome.zarr" / "zarr.json").exists()
    assert next(iter(group_slides(source, tmp_path / "study", settings=REGIONS))).result.reused

    (nothing,) = group_slides(Source(tmp_path / "clam"), tmp_path / "other")
    assert "there are no segments of 's0'" in str(nothing.error)
    assert Project(tmp_path / "other").rows()["s0"].state == "failed"


def test_segments_go_out_as_outlines_and_labels_and_come_back(
    tmp_path: Path, sam_mil: tuple[Path, dict[int, list[int]]]
) -> None:
    data, expected = sam_mil
    project, slides = tmp_path / "study", tmp_path / "slides"
    slides.mkdir()
    write_tiny_slide(slides / "s0.tiff")
    list(import_slides(Source(data, slides=slides), project))
    path = project / "bags" / "s0.h5"
    original = h5.read_segments(path)
    for to in ("geojson", "ome-zarr", "ome-zarr-0.4"):
        (item,) = export_slides(Source(project), tmp_path / to, to=to)
        assert item.error is None
        (grouped,) = group_slides(
            Source(data / "h5_files", slides=slides), tmp_path / f"g-{to}", segments=tmp_path / to
        )
        assert grouped.error is None
    outlines = read_annotations(tmp_path / "geojson" / "s0.geojson")
    areas = original.frame.area_to_px0(original.area)
    assert [item.polygon.area for item in outlines] == pytest.approx(areas.tolist())
    properties = json.loads((tmp_path / "geojson" / "s0.geojson").read_text())["features"][0]["properties"]
    assert (properties["patches"], properties["segment"]) == (len(expected[0]), 0)
    labels = h5.read_segments(tmp_path / "g-ome-zarr" / "bags" / "s0.h5")
    assert labels.frame.origin_px0 == pytest.approx(original.frame.origin_px0)
    assert labels.frame.downsample == pytest.approx(original.frame.downsample)
    assert np.array_equal(labels.label_image(), original.label_image())
    painted = h5.read_segments(tmp_path / "g-geojson" / "bags" / "s0.h5")
    assert painted.frame.area_to_px0(painted.area) == pytest.approx(areas)


def test_one_command_writes_all_that_qupath_needs(
    tmp_path: Path, sam_mil: tuple[Path, dict[int, list[int]]]
) -> None:
    data, _ = sam_mil
    slides, drawn = tmp_path / "slides", tmp_path / "drawn"
    slides.mkdir()
    drawn.mkdir()
    write_tiny_slide(slides / "s0.tiff")
    list(import_slides(Source(data, slides=slides), tmp_path / "study"))
    outline = Annotation("by hand", "Tumor", box(10, 20, 200, 300))
    write_geojson(drawn / "s0.geojson", [outline], info=None)
    run("export", tmp_path / "study", "--to", "qupath", "--annotations", drawn, "-o", tmp_path / "out")
    (written,) = (tmp_path / "out").iterdir()
    assert written.name == "s0.qupath.geojson"
    features = json.loads(written.read_text(encoding="utf-8"))["features"]
    bag = h5.read_bag(tmp_path / "study" / "bags" / "s0.h5")
    assert sum(feature["properties"]["objectType"] == "tile" for feature in features) == len(bag)
    assert any(item.polygon.equals(outline.polygon) for item in read_annotations(written))
    with pytest.raises(SettingsError, match="for QuPath only"):
        list(export_slides(Source(tmp_path / "study"), tmp_path / "clam-out", to="clam", scores=drawn))


def test_a_process_list_chooses_the_slides_and_names_those_without_features(tmp_path: Path) -> None:
    folder = made.clam_folder(tmp_path / "clam")
    made.clam_folder(folder, "s1")
    path = tmp_path / "list.csv"
    path.write_text("slide_id,process,status\ns0.svs,0,processed\ns1.svs,0,failed_seg\ns2.svs,0,already_exist\n")
    results = list(import_slides(Source(folder, process_list=path), tmp_path / "study"))
    assert {item.slide_id: item.error is None for item in results} == {"s2": False, "s0": True}
    path.write_text("slide_id,process,status\n../../s0.svs,0,processed\n")
    with pytest.raises(DataError, match="is not a valid file name"):
        list(import_slides(Source(folder, process_list=path), tmp_path / "study"))
    with pytest.raises(DataError, match="is not a valid file name"):
        write_process_list(path, ["=cmd()"])


def test_labels_of_sam_mil_have_no_heading(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("s0,0\ns1,1\n")
    table = read_labels(tmp_path / "labels.csv")
    assert table.to_dict("list") == {"slide_id": ["s0", "s1"], "label": ["0", "1"]}
    (tmp_path / "labels.csv").write_text("../s0,0\n")
    with pytest.raises(DataError, match="is not a valid file name"):
        read_labels(tmp_path / "labels.csv")


def test_a_bag_of_another_origin_is_kept_when_it_is_imported_over(tmp_path: Path) -> None:
    project = tmp_path / "study"
    list(import_slides(Source(made.clam_folder(tmp_path / "a")), project))
    list(import_slides(Source(made.trident_folder(tmp_path / "b")), project))
    assert h5.read_bag(project / "bags" / "s0.h5").attrs["encoder"] == "uni_v1"
    (kept,) = (project / "superseded").rglob("s0.h5")
    assert h5.read_bag(kept).attrs["imported_from"] == "clam"


def test_two_slides_of_one_name_are_refused(tmp_path: Path) -> None:
    made.stamp_file(tmp_path / "stamp" / "a" / "s0.h5", 0.5)
    made.stamp_file(tmp_path / "stamp" / "b" / "s0.h5", 0.5)
    with pytest.raises(DataError, match="several slides are called s0"):
        list(import_slides(Source(tmp_path / "stamp", mpp=0.5), tmp_path / "study"))


def test_a_hostile_pickle_fails_its_slide_alone(tmp_path: Path) -> None:
    folder = made.clam_folder(tmp_path / "clam")
    made.clam_folder(folder, "s1")
    made.segments_pickle(tmp_path / "segments" / "s0.pkl", made.nested_masks())
    (tmp_path / "segments" / "s1.pkl").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    first, second = group_slides(Source(folder), tmp_path / "study", segments=tmp_path / "segments")
    assert first.error is None
    assert "it names os.system" in str(second.error)
    assert not Path("pwned").exists()
    assert "os.system" in Project(tmp_path / "study").rows()["s1"].error


def test_a_zarr_that_leads_elsewhere_is_refused(tmp_path: Path, sam_mil: tuple[Path, dict[int, list[int]]]) -> None:
    data, _ = sam_mil
    list(import_slides(Source(data), tmp_path / "study"))
    list(export_slides(Source(tmp_path / "study"), tmp_path / "labels", to="ome-zarr"))
    attributes = tmp_path / "labels" / "s0.ome.zarr" / "zarr.json"
    attributes.write_text(attributes.read_text().replace('"path": "0"', '"path": "../../x"'))
    (item,) = group_slides(Source(data / "h5_files"), tmp_path / "g", segments=tmp_path / "labels")
    assert "is not a valid file name" in str(item.error)


def test_clam_reads_what_sam_mil_features_become_without_groups(
    tmp_path: Path, sam_mil: tuple[Path, dict[int, list[int]]]
) -> None:
    """Formats convert into each other without a project between them."""
    data, _ = sam_mil
    shutil.rmtree(data / "segments")
    (item,) = export_slides(Source(data), tmp_path / "out", to="clam")
    assert item.error is None
    with h5py.File(tmp_path / "out" / "h5_files" / "s0.h5") as file:
        assert np.array_equal(file["features"][:], made.features_of())
        assert (file["coords"][:] >= 0).all()


@pytest.mark.parametrize("name", ["import", "group", "export"])
def test_help_of_the_command_has_an_example_and_loads_nothing_heavy(name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sam_mil_engine", name, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"sam-mil-engine {name}" in result.stdout
    loaded = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}
    assert not loaded & {"torch", "h5py", "openslide", "pandas", "cv2"}


@pytest.mark.parametrize("option", ["--scores", "--annotations"])
def test_a_folder_for_qupath_that_does_not_exist_is_said(tmp_path: Path, option: str) -> None:
    done = run("export", tmp_path / "p", "--to", "qupath", option, tmp_path / "none", "-o", tmp_path / "q", code=2)
    assert f"{tmp_path / 'none'}: there is no such folder" in done.stderr
    assert not (tmp_path / "q").exists()
