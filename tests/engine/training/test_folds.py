"""Splits: disjoint, stratified, patients together, and refused where they are not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.errors import DataError
from sam_mil_engine.training.folds import (
    Split,
    check_split,
    from_column,
    holdout,
    k_fold,
)
from sam_mil_engine.training.split_files import match_known_ids, read_splits, write_splits


def table(n: int, *, classes: int = 2, slides_a_patient: int = 0) -> pd.DataFrame:
    """N slides (or patients) with the classes in turn."""
    rows = [
        {"slide_id": f"s{i}-{j}", "label": str(i % classes), "patient_id": f"p{i}"}
        for i in range(n)
        for j in range(max(slides_a_patient, 1))
    ]
    frame = pd.DataFrame(rows)
    return frame if slides_a_patient else frame.drop(columns="patient_id")


def everything(split: Split) -> list[str]:
    return [*split.train, *split.val, *split.test]


@settings(max_examples=30)
@given(n=st.integers(24, 80), classes=st.integers(2, 3), slides=st.integers(0, 3), seed=st.integers(0, 2**31 - 1))
def test_holdout_is_a_stratified_partition(n: int, classes: int, slides: int, seed: int) -> None:
    frame = table(n, classes=classes, slides_a_patient=slides)
    split = holdout(frame, val_fraction=0.2, test_fraction=0.2, seed=seed)
    assert sorted(everything(split)) == sorted(frame["slide_id"])
    label = dict(zip(frame["slide_id"], frame["label"], strict=True))
    per_patient = max(slides, 1)
    for part in (split.val, split.test):
        counts = Counter(label[slide_id] for slide_id in part)
        for name in set(frame["label"]):
            expected = 0.2 * (frame["label"] == name).sum() / per_patient
            assert abs(counts[name] / per_patient - expected) <= 1.5
    assert split == holdout(frame, val_fraction=0.2, test_fraction=0.2, seed=seed)
    if slides:
        patient = dict(zip(frame["slide_id"], frame["patient_id"], strict=True))
        sides = [{patient[i] for i in part} for part in (split.train, split.val, split.test)]
        assert sum(len(side) for side in sides) == n, "no patient on two sides"


@settings(max_examples=15)
@given(n=st.integers(20, 60), folds=st.integers(2, 5), slides=st.integers(0, 2), seed=st.integers(0, 1000))
def test_k_fold_tests_every_slide_once_a_repeat(n: int, folds: int, slides: int, seed: int) -> None:
    frame = table(n, slides_a_patient=slides)
    splits = k_fold(frame, folds=folds, repeats=2, val_fraction=0.25, seed=seed)
    assert [(s.repeat, s.fold) for s in splits] == [(r, f) for r in range(2) for f in range(folds)]
    for repeat in range(2):
        tested = [i for split in splits if split.repeat == repeat for i in split.test]
        assert sorted(tested) == sorted(frame["slide_id"])
    for split in splits:
        assert sorted(everything(split)) == sorted(frame["slide_id"])
    assert [s.test for s in splits[:folds]] != [s.test for s in splits[folds:]]


def test_too_few_slides() -> None:
    with pytest.raises(DataError, match=r"4 slides are too few to draw 20% of every class \(0 2, 1 2\)"):
        holdout(table(4), val_fraction=0.2, test_fraction=0.2, seed=0)
    with pytest.raises(DataError, match=r"3 patients are too few to draw 20% of every class \(0 2, 1 1\)"):
        holdout(table(3, slides_a_patient=2), val_fraction=0.2, test_fraction=0.2, seed=0)
    with pytest.raises(DataError, match="no slide is left"):
        holdout(table(40), val_fraction=0.5, test_fraction=0.5, seed=0)
    with pytest.raises(DataError, match="folds cannot be made"):
        k_fold(table(6), folds=5, repeats=1, val_fraction=0.2, seed=0)


def test_the_column_is_kept_and_validation_drawn_where_it_names_none() -> None:
    frame = table(20)
    frame["split"] = ["test"] * 6 + ["val"] * 4 + ["train"] * 10
    split = from_column(frame, val_fraction=0.2, seed=0)
    assert (len(split.train), len(split.val), len(split.test)) == (10, 4, 6)
    frame["split"] = ["test"] * 6 + ["train"] * 14
    drawn = from_column(frame, val_fraction=0.3, seed=0)
    assert set(drawn.test) == set(split.test)
    assert len(drawn.val) == 5
    assert sorted(everything(drawn)) == sorted(frame["slide_id"])


@pytest.mark.parametrize(
    ("split", "says"),
    [
        (Split(("s0-0", "s1-0"), ("s2-0", "s4-0")), r"val part \(2 slides\) has no slide of class 1"),
        (Split(("s0-0", "s1-0"), ()), r"val part \(0 slides\) has no slide of class 0, 1"),
        (Split(("s0-0", "s1-0"), ("s2-0", "s3-0"), ("s5-0",)), "test part .* no slide of class 0"),
        (Split(("s0-0", "s1-0"), ("s0-0", "s3-0")), "slides are in two parts: s0-0"),
        (Split(("s0-0", "s1-0"), ("zz", "s3-0")), "slides without label or bag: zz"),
        (Split(("s0-0", "s1-0"), ("s0-1", "s3-0")), "patients are in train and in val: p0"),
        (Split(("s0-0", "s1-0"), ("s2-0", "s3-0"), ("s3-1", "s4-0")), "patients are in val and in test: p3"),
    ],
)
def test_each_fault_of_a_split_is_refused(split: Split, says: str) -> None:
    with pytest.raises(DataError, match=says):
        check_split(split, table(6, slides_a_patient=2))


def test_a_split_without_test_slides_is_allowed() -> None:
    split = Split(("s0-0", "s1-0"), ("s2-0", "s3-0"))
    assert check_split(split, table(6)) is split


def test_files_go_there_and_back(tmp_path: Path) -> None:
    splits = k_fold(table(20), folds=3, repeats=2, val_fraction=0.2, seed=0)
    write_splits(tmp_path / "splits.csv", splits)
    assert read_splits(tmp_path / "splits.csv") == splits
    odd = [Split(('a,"b"', "c"), ("d e", "f"))]
    write_splits(tmp_path / "odd.csv", odd)
    assert read_splits(tmp_path / "odd.csv") == odd
    (tmp_path / "plain.csv").write_text("slide_id,split\na,train\nb,val\nc,test\n")
    assert read_splits(tmp_path / "plain.csv") == [Split(("a",), ("b",), ("c",))]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("slide_id,split\na,dev\n", "unknown split dev"),
        ("slide_id,split,fold\na,train,x\n", "whole numbers"),
        ("slide_id\na\n", "column split is missing"),
        ("slide_id,split\n", "no row"),
        ("slide_id,split\nNA,train\n", "slide_id is missing in line 2"),
        ("slide_id,split\na,\n", "unknown split empty"),
        (",train,val,test\na,True,False,False\n", "boolean table"),
    ],
)
def test_faults_of_a_splits_file(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        read_splits(tmp_path / "splits.csv")


def test_splits_that_a_spreadsheet_has_saved(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("Slide;Split;Fold\na;Train;0.0\nb;val;0.0\nc;test;1\n", encoding="utf-16")
    assert read_splits(tmp_path / "plain.csv") == [Split(("a",), ("b",)), Split((), (), ("c",), fold=1)]
    (tmp_path / "splits_3.csv").write_text("\ufeff;train;val;test\n0;7.0;8;9\n1;nan;;10\n", encoding="utf-8")
    (split,) = read_splits(tmp_path / "splits_3.csv")
    assert split == Split(("7.0",), ("8",), ("9", "10"), fold=3)
    assert match_known_ids([split], ["7", "8", "10"]) == [Split(("7",), ("8",), ("9", "10"), fold=3)]
