"""CSV out: formulas are quoted, what is missing is empty, and a frame comes back as it was."""

import re
from pathlib import Path

import pandas as pd
import pytest

import sam_mil_engine
from sam_mil_engine.tables.reading import read_frame
from sam_mil_engine.tables.writing import csv_frame, csv_records, csv_text


def test_cells_that_are_missing_or_formulas() -> None:
    rows = [("=1+1", float("nan"), None), ("-1", -1, 0.5)]
    assert csv_text(("@name", "b", "c"), rows) == "'@name,b,c\n'=1+1,,\n-1,-1,0.5\n"
    assert csv_text((), rows[1:]) == "-1,-1,0.5\n"


def test_records_are_ordered_by_name() -> None:
    assert csv_records([{"a": 1, "b": "x,y"}, {"b": None, "a": 2}]) == 'a,b\n1,"x,y"\n2,\n'
    assert csv_records([]) == ""
    with pytest.raises(KeyError):
        csv_records([{"a": 1}, {"b": 2}])


def test_a_frame_comes_back_as_it_was(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"slide_id": ["=cmd|x", "-1A", "NA", ""], "p_tumour": [0.1, float("nan"), -0.5, 1.0], "fold": [0, 1, 2, 3]}
    )
    file = tmp_path / "predictions.csv"
    file.write_text(csv_frame(frame), encoding="utf-8")
    assert "\n'=cmd|x,0.1,0\n'-1A,,1\n" in file.read_text(encoding="utf-8")
    pd.testing.assert_frame_equal(read_frame(file, text=("slide_id", "label")), frame)


def test_csv_is_read_and_written_in_one_room() -> None:
    package = Path(sam_mil_engine.__file__).parent
    files = [file for root in (package, package.with_name("napari_sam_mil")) for file in root.rglob("*.py")]
    rules = re.compile(r"^import csv|read_csv|to_csv", re.MULTILINE)
    assert {file.parent for file in files if rules.search(file.read_text("utf-8"))} == {package / "tables"}
