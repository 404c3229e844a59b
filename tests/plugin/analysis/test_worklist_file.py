"""The worklist as a file: what a person noted comes back, also from a spreadsheet and from two windows."""

from __future__ import annotations

import csv

import pytest

from napari_sam_mil.analysis.worklist import AGREED, TO_DISCUSS, Item, View, Worklist
from sam_mil_engine.errors import DataError, ProjectError

VIEW = View(1234.5, 87.1, 0.25)


def rows(folder):
    with (folder / "worklist.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_was_noted_is_read_again(tmp_path):
    worklist = Worklist(tmp_path)
    assert worklist.of("a") == Item()
    worklist.change("a", note="nothing")
    worklist.change("a", note="")
    worklist.change("b", status=TO_DISCUSS, note="pen mark; two\u202ffoci, one doubtful", view=VIEW)
    assert Worklist(tmp_path).of("b") == Item(TO_DISCUSS, "pen mark; two\u202ffoci, one doubtful", VIEW)
    assert Worklist(tmp_path).of("a") == Item()


def test_nothing_is_written_before_something_is_noted(tmp_path):
    Worklist(tmp_path).change("a", status="not seen", note="")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("note", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "\t=1"])
def test_a_note_is_no_formula_to_a_spreadsheet(tmp_path, note):
    Worklist(tmp_path).change("a", note=note)
    assert rows(tmp_path)[0]["note"] == f"'{note}"
    assert Worklist(tmp_path).of("a").note == note


def test_a_name_is_no_formula_either(tmp_path):
    Worklist(tmp_path).change("=slide", status=AGREED)
    assert rows(tmp_path)[0]["slide_id"] == "'=slide"
    assert Worklist(tmp_path).of("=slide").status == AGREED


def test_two_windows_keep_what_the_other_wrote(tmp_path):
    one, other = Worklist(tmp_path), Worklist(tmp_path)
    one.change("a", status=AGREED)
    other.change("b", status=TO_DISCUSS)
    other.change("a", note="late")
    assert Worklist(tmp_path).of("a") == Item(AGREED, "late")
    assert Worklist(tmp_path).of("b").status == TO_DISCUSS


def test_columns_of_a_person_and_a_spreadsheets_decimal_comma_are_kept(tmp_path):
    (tmp_path / "worklist.csv").write_text(
        "slide_id;status;note;x_px0;y_px0;px0_per_pixel;who\na;Agreed;;12,5;3;0,5;Ada\n", encoding="utf-8-sig"
    )
    worklist = Worklist(tmp_path)
    assert worklist.of("a") == Item(AGREED, "", View(12.5, 3, 0.5))
    worklist.change("a", note="seen twice")
    assert rows(tmp_path)[0] == {
        **{"slide_id": "a", "status": "agreed", "note": "seen twice"},
        **{"x_px0": "12.5", "y_px0": "3.0", "px0_per_pixel": "0.5", "who": "Ada"},
    }


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("a,perhaps,,,,", "status 'perhaps' is not known (line 2)"),
        ("a,seen,,1,2,zero", "view is damaged (line 2)"),
        ("a,seen,,1,2,0", "view is damaged (line 2)"),
        ("a,seen,,1,,2", "view is damaged (line 2)"),
    ],
)
def test_a_damaged_line_is_named_and_the_file_is_not_touched(tmp_path, line, what):
    text = f"slide_id,status,note,x_px0,y_px0,px0_per_pixel\n{line}\n"
    good = Worklist(tmp_path)
    (tmp_path / "worklist.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        Worklist(tmp_path)
    assert what in str(caught.value)
    with pytest.raises(DataError):
        good.change("b", status=AGREED)
    assert (tmp_path / "worklist.csv").read_text(encoding="utf-8") == text


def test_a_folder_that_is_gone_is_not_made_again(tmp_path):
    worklist = Worklist(tmp_path / "gone")
    with pytest.raises(ProjectError, match="is gone"):
        worklist.change("a", status=AGREED)
