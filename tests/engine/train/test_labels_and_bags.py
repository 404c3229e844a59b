"""labels.csv and a folder of bags: what fits, and what is said where it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cohorts import witness_bag, write_bag

from sam_mil_engine.errors import BagError, DataError
from sam_mil_engine.progress import Progress
from sam_mil_engine.train.data import class_names, load_bags, match_bags, read_labels
from sam_mil_engine.train.expects import patch_mpp


def labels(folder: Path, text: str, name: str = "labels.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def bags(tmp_path: Path) -> Path:
    folder = tmp_path / "bags"
    folder.mkdir()
    for number, name in enumerate(["a", "b", "c", "d"]):
        write_bag(folder, witness_bag(name, number > 1, seed=number, n=12))
    return folder


def test_reads_text_as_it_stands(tmp_path: Path) -> None:
    file = labels(tmp_path, "\ufeffslide_id, label,patient_id,site\n001,NA,p1,x\n002,-1,p1,y\n")
    table = read_labels(file)
    assert list(table.columns) == ["slide_id", "label", "patient_id"]
    assert table["slide_id"].tolist() == ["001", "002"]
    assert table["label"].tolist() == ["NA", "-1"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("slide,label\na,1\n", "column slide_id is missing, found slide, label"),
        ("slide_id,label\n", "no row"),
        ("", "not a readable CSV"),
        ("slide_id,label\na,1\nb,\n", "label in line 3 is empty"),
        ("slide_id,label\na,0\nb,1\na,1\n", "1 slide_ids stand in more than one row: a"),
        ("slide_id,label,split\na,0,train\nb,1,dev\n", "unknown split dev"),
        ('slide_id,label\n"=HYPERLINK(1)",0\nb,1\n', "looks like a spreadsheet formula"),
        ("slide_id,label\na,0\nb,@x\n", "looks like a spreadsheet formula"),
        ("slide_id,label\na,0,1,2\nb,1\n", "not a readable CSV"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_labels(labels(tmp_path, text))


def test_no_file_and_a_binary_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_labels(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(DataError, match="not a readable CSV"):
        read_labels(tmp_path / "binary.csv")


def test_labelled_slides_without_a_bag_are_listed(tmp_path: Path, bags: Path) -> None:
    table = read_labels(labels(tmp_path, "slide_id,label\na,0\nc,1\nx,0\ny.svs,1\n"))
    with pytest.raises(DataError, match=r"2 of 4 labelled slides have no bag: x, y.svs"):
        match_bags(table, bags)
    cohort = match_bags(table, bags, allow_missing=True)
    assert cohort.missing == ("x", "y.svs")
    assert set(cohort.paths) == {"a", "c"}


def test_bags_without_label_are_reported(tmp_path: Path, bags: Path) -> None:
    table = read_labels(labels(tmp_path, "slide_id,label\na,0\nc,1\n"))
    told: list[Progress] = []
    cohort = match_bags(table, bags.parent, progress=told.append)  # the project's folder does as well
    assert cohort.unlabelled == ("b", "d")
    assert "2 bags have no label and are not used: b, d" in told[0].message


def test_an_empty_folder_and_a_hidden_file(tmp_path: Path) -> None:
    (tmp_path / ".half.h5").write_bytes(b"")
    table = read_labels(labels(tmp_path, "slide_id,label\na,0\nc,1\n"))
    with pytest.raises(DataError, match="no bag"):
        match_bags(table, tmp_path)


def test_classes() -> None:
    assert class_names(["tumour", "normal"]) == ("normal", "tumour")
    assert class_names(["10", "9", "-1"]) == ("-1", "9", "10")
    assert class_names(["a", "b"], ("b", "a")) == ("b", "a")
    with pytest.raises(DataError, match="all slides have the label a"):
        class_names(["a", "a"])
    with pytest.raises(DataError, match="do not fit the classes"):
        class_names(["a", "b"], ("a", "c"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"encoder": "other"}, "the encoder is other, but fake in"),
        ({"patch_size": 256}, "the patch size is 256, but 512 in"),
        ({"dim": 9}, "the feature width is 9, but 8 in"),
    ],
)
def test_bags_that_must_not_be_mixed(tmp_path: Path, bags: Path, change: dict[str, object], says: str) -> None:
    bag = witness_bag("d", True, seed=3, dim=int(change.pop("dim", 8)))
    path = write_bag(bags, replace(bag, attrs={**bag.attrs, **change}))
    table = read_labels(labels(tmp_path, "slide_id,label\na,0\nb,0\nc,1\nd,1\n"))
    with pytest.raises(BagError, match=says) as caught:
        load_bags(match_bags(table, bags))
    assert caught.value.where == str(path)
    assert "a.h5" in caught.value.what


def test_a_bag_with_not_a_number_is_named(tmp_path: Path, bags: Path) -> None:
    bag = witness_bag("d", True, seed=3)
    bag.features[7, 2] = np.nan
    write_bag(bags, bag)
    table = read_labels(labels(tmp_path, "slide_id,label\na,0\nd,1\n"))
    with pytest.raises(BagError, match="row 7"):
        load_bags(match_bags(table, bags))


def test_what_the_bags_have_in_common(tmp_path: Path, bags: Path) -> None:
    bag = witness_bag("d", True, seed=3)
    write_bag(bags, replace(bag, attrs={**bag.attrs, "tile_mpp": 0.6, "segmenter": "vit_b"}))
    loaded = load_bags(match_bags(read_labels(labels(tmp_path, "slide_id,label\na,0\nb,0\nc,1\nd,1\n")), bags))
    assert (loaded.expects.encoder, loaded.expects.dim, loaded.expects.mpp) == ("fake", 8, 0.5)
    assert loaded.expects.segmenter is None, "there are two"
    assert [example.label.item() for example in loaded.pick(["d", "a"])] == [1, 0]


def test_resolution_of_a_patch() -> None:
    assert patch_mpp({"tile_mpp": 0.5, "mpp": (0.25, 0.25)}) == 0.5
    assert patch_mpp({"mpp": (0.25, 0.25), "size_px0": (512.0, 512.0), "patch_size": 256}) == 0.5
    assert patch_mpp({"mpp": 0.25}) == 0.25
    assert patch_mpp({}) is None
