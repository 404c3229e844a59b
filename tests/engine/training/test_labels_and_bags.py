"""labels.csv and a folder of bags: what fits, and what is said where it does not."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cohorts import witness_bag, write_bag

from sam_mil_engine.errors import BagError, DataError
from sam_mil_engine.progress import Progress
from sam_mil_engine.tables.columns import Columns
from sam_mil_engine.training.data import class_names, load_bags, match_bags
from sam_mil_engine.training.expects import patch_mpp
from sam_mil_engine.training.folds import check_split
from sam_mil_engine.training.labels import read_labels
from sam_mil_engine.training.split_files import read_splits


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
    table = read_labels(file, classes=("NA", "-1"))
    assert list(table.columns) == ["slide_id", "label", "patient_id"]
    assert table["slide_id"].tolist() == ["001", "002"]
    assert table["label"].tolist() == ["NA", "-1"]


def told_by(file: Path, **options: Any) -> tuple[pd.DataFrame, list[str]]:
    told: list[Progress] = []
    table = read_labels(file, progress=told.append, **options)
    assert all(report.notice for report in told)
    return table, [report.message for report in told]


@pytest.mark.parametrize("name", ["case_id", "patient", "PATIENT", "case", "submitter_id"])
def test_the_patient_of_other_tools_is_taken_and_told(tmp_path: Path, name: str) -> None:
    table, told = told_by(labels(tmp_path, f"{name},slide_id,label,site\np1,a,0,x\np1,b,1,x\n"))
    assert table["patient_id"].tolist() == ["p1", "p1"]
    assert told == [f"patient_id is the column {name}", "columns that are not used: site"]


def test_two_columns_of_patients(tmp_path: Path) -> None:
    file = labels(tmp_path, "case_id,patient,slide_id,label\nc1,p1,a,0\nc2,p1,b,1\n")
    with pytest.raises(DataError, match="several columns: case_id, patient"):
        read_labels(file)
    assert read_labels(file, columns=Columns(patient="patient"))["patient_id"].tolist() == ["p1", "p1"]
    assert read_labels(file, columns=Columns(patient="slide_id"))["patient_id"].tolist() == ["a", "b"]
    ours = labels(tmp_path, "case_id,patient_id,slide_id,label\nc1,p1,a,0\nc2,p1,b,1\nNA,p2,c,1\n")
    table, told = told_by(ours)
    assert table["patient_id"].tolist() == ["p1", "p1", "p2"]
    assert told == ["columns that are not used: case_id"]
    crossed = labels(tmp_path, "case_id,patient_id,slide_id,label\nc1,p1,a,0\nc1,p2,b,1\n")
    with pytest.raises(DataError, match="several columns: patient_id, case_id"):
        read_labels(crossed)


def test_other_columns_of_labels_and_slides(tmp_path: Path) -> None:
    file = labels(tmp_path, "FILENAME;diagnosis;case\na;0;yes\nb;1;no\n")
    with pytest.raises(DataError, match="column label is missing, found FILENAME, diagnosis, case"):
        read_labels(file)
    table = read_labels(file, columns=Columns(label="diagnosis"))
    assert table.to_dict("list") == {"slide_id": ["a", "b"], "label": ["0", "1"], "patient_id": ["yes", "no"]}
    assert "patient_id" not in read_labels(file, columns=Columns(label="case"))


def test_missing_values_are_listed(tmp_path: Path) -> None:
    file = labels(tmp_path, "slide_id,label\na,NA\nb,1\nc,\nd,n/a\n")
    with pytest.raises(DataError) as caught:
        read_labels(file)
    assert caught.value.what == ("the label is missing (NA, n/a) in 3 of 4 rows: a, line 2; c, line 4; d, line 5")
    for text, what in (
        (
            "slide_id,label,patient_id\na,0,NaN\nb,1,p\n",
            "the patient_id is missing (NaN) in 1 of 2 rows: a, line 2",
        ),
        ("slide_id,label,split\na,0,train\nb,1,\n", "the split is missing (empty) in 1 of 2 rows: b, line 3"),
        ("slide_id,label\n,0\nb,1\n", "the slide_id is missing (empty) in 1 of 2 rows: line 2"),
    ):
        with pytest.raises(DataError) as caught:
            read_labels(labels(tmp_path, text))
        assert caught.value.what == what


def test_classes_that_differ_only_in_spelling_are_asked_about(tmp_path: Path) -> None:
    file = labels(tmp_path, "slide_id,label\na,Tumor\nb,tumor \nc,tumor\nd,normal\n")
    with pytest.raises(DataError, match=r"classes differ only .*: 'Tumor' 1, 'tumor' 2\. Write"):
        read_labels(file)
    meant = read_labels(file, classes=("normal", "Tumor", "tumor"))
    assert meant["label"].tolist() == ["Tumor", "tumor", "tumor", "normal"]
    file = labels(tmp_path, "slide_id,label,patient_id\na,0,P1\nb,1,p1\n")
    with pytest.raises(DataError, match="patients differ only"):
        read_labels(file)


@pytest.mark.parametrize(
    ("text", "slides"),
    [
        ("a,0\nb,1\n", ["a", "b"]),
        ("a;tumor\nb;tumor\n", ["a", "b"]),
        ("slide,label\na,0\nb,1\n", ["a", "b"]),
        ("Slide,0\na,0\nb,1\n", None),
        ("name,outcome\na,0\nb,1\n", None),
    ],
)
def test_a_table_without_a_heading(tmp_path: Path, text: str, slides: list[str] | None) -> None:
    file = labels(tmp_path, text)
    if slides is None:
        with pytest.raises(DataError, match="is missing, found"):
            read_labels(file)
    else:
        assert read_labels(file)["slide_id"].tolist() == slides


def test_splits_in_any_case(tmp_path: Path) -> None:
    table = read_labels(labels(tmp_path, "slide_id,label,Split\na,0,Train\nb,1,TEST\n"))
    assert table["split"].tolist() == ["train", "test"]


def test_every_column_is_kept_where_that_is_asked(tmp_path: Path) -> None:
    table, told = told_by(labels(tmp_path, ",age,slide_id,label\n0,50,a,0\n1,NA,b,1\n"), keep_all=True)
    assert table.to_dict("list") == {"slide_id": ["a", "b"], "label": ["0", "1"], "age": ["50", "NA"]}
    assert told == []
    file = labels(tmp_path, "slide_id,label,outcome,site,site\na,x,0,1,2\n")
    kept = read_labels(file, columns=Columns(label="outcome"), keep_all=True)
    assert kept.to_dict("records") == [
        {"slide_id": "a", "label": "0", "other_label": "x", "site": "1", "other_site": "2"}
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,label\na,1\n", "column slide_id is missing, found name, label"),
        ("slide_id,label\n", "no row"),
        ("", "not a readable CSV"),
        ("slide_id,label\na,1\nb,\n", r"label is missing \(empty\) in 1 of 2 rows: b, line 3"),
        ("slide_id,label\na,0\nb,1\na,1\n", "1 slide_ids are in more than one row: a"),
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
    assert [report.message for report in told] == [
        "2 bags have no label and are not used: b, d",
        "2 slides, no patients given; classes: 0 1, 1 1",
    ]
    assert all(report.notice for report in told)


def test_slides_are_found_by_what_tables_call_them(tmp_path: Path, bags: Path) -> None:
    (bags / "a.h5").rename(bags / "1006.h5")
    (bags / "b.h5").rename(bags / f"{unicodedata.normalize('NFD', 'Müller')}.h5")
    file = labels(tmp_path, "slide_id,label,case\n1006.0,x,p\nM\u00fcller,x,p\nc.svs,y,q\nd,y,q\n")
    told: list[Progress] = []
    cohort = match_bags(read_labels(file), bags, progress=told.append)
    assert cohort.table["slide_id"].tolist() == ["1006", "M\u00fcller", "c", "d"]
    assert all(path.exists() for path in cohort.paths.values())
    assert [report.message for report in told] == [
        "slide_ids: 1006.0 means 1006, c.svs means c",
        "4 slides of 2 patients; classes: x 2, y 2",
    ]
    with pytest.raises(DataError, match=r"several slide_ids mean the same bag: c\.svs means c"):
        match_bags(read_labels(labels(tmp_path, "slide_id,label\nc.svs,0\nc,1\n")), bags)


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


@pytest.mark.parametrize(("name", "classes"), [("tumor_vs_normal", 2), ("tumor_subtyping", 3)])
def test_clams_own_tables(shared_data: Path, name: str, classes: int) -> None:
    table, told = told_by(shared_data / "tables" / "clam" / f"dataset_csv__{name}_dummy_clean.csv")
    assert told == ["patient_id is the column case_id"]
    assert (len(table), table["label"].nunique()) == (500, classes)


def test_clams_own_splits(shared_data: Path) -> None:
    clam = shared_data / "tables" / "clam"
    (split,) = read_splits(clam / "splits__task_1_tumor_vs_normal_75__splits_0.csv")
    table = read_labels(clam / "dataset_csv__tumor_vs_normal_dummy_clean.csv")
    assert {*split.train, *split.val, *split.test} <= set(table["slide_id"])
    assert check_split(split, table) is split
    with pytest.raises(DataError, match="boolean table of a split"):
        read_splits(clam / "splits__task_1_tumor_vs_normal_75__splits_0_bool.csv")
