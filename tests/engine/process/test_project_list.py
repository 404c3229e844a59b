"""``process.csv``: what a person, a spreadsheet or another system has made of it."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from sam_mil_engine.errors import DataError
from sam_mil_engine.process.project import Project
from sam_mil_engine.process.results import ProcessRow
from sam_mil_engine.report.process_list import read_process_list

ROW = ProcessRow(
    slide_id="s1",
    path="/slides/ s1 .svs",
    state="failed",
    tiles=12,
    segments=3,
    seconds={"tissue": 1.25},
    error="=not a formula",
    hint="-2 is too low, choose 3",
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.record(ROW)
    return project


def saved(project: Project, *, encoding: str = "utf-8", separator: str = ",", point: str = ".") -> Path:
    """Save the list as a spreadsheet does."""
    file = project.folder / "process.csv"
    text = file.read_text(encoding="utf-8")
    if separator != ",":
        text = text.replace(", ", "\0").replace(",", separator).replace("\0", ", ").replace("1.250", f"1{point}250")
    file.write_text(text, encoding=encoding, newline="\r\n")
    return file


def test_there_and_back(project: Project) -> None:
    assert project.rows() == {"s1": ROW}
    assert "'=not a formula" in (project.folder / "process.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("encoding", "separator", "point"),
    [("utf-8-sig", ",", "."), ("utf-8-sig", ";", ","), ("utf-16", "\t", ","), ("utf-8", ";", ".")],
)
def test_a_list_that_a_spreadsheet_has_saved(project: Project, encoding: str, separator: str, point: str) -> None:
    file = saved(project, encoding=encoding, separator=separator, point=point)
    assert project.rows() == {"s1": ROW}
    assert read_process_list(file)[0]["state"] == "failed"
    other = ProcessRow(slide_id="s0", path="/s0.svs", state="done")
    project.record(other)
    assert project.rows() == {"s0": other, "s1": ROW}


def test_columns_that_a_person_has_added_are_kept(project: Project) -> None:
    file = project.folder / "process.csv"
    heading, row = file.read_text(encoding="utf-8").splitlines()
    file.write_text(f"{heading},comment\n{row},look again\n", encoding="utf-8")
    project.record(ProcessRow(slide_id="s1", path="/s1.svs", state="done"))
    project.record(ProcessRow(slide_id="s2", path="/s2.svs", state="done"))
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line.rpartition(",")[2] for line in lines] == ["comment", "look again", ""]
    assert project.rows()["s1"].state == "done"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("slide_id,path\na,b\n", r"process.csv is damaged \(no column state, found slide_id, path\)"),
        ("slide_id,path,state,tiles\na,b,done,x\n", r"process.csv is damaged \(line 2: "),
        ("slide_id,path,state\na,b,done,x\n", "line 2 has 4 cells, the heading 3"),
    ],
)
def test_what_is_damaged_is_named_and_nobody_is_told_to_delete_it(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "process.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=says) as caught:
        Project(tmp_path).rows()
    assert "delete" not in str(caught.value).lower()


def test_columns_that_are_not_there_are_empty(tmp_path: Path) -> None:
    (tmp_path / "process.csv").write_text("slide_id,path,state,tiles\na,/b,done,7.0\n", encoding="utf-8")
    assert Project(tmp_path).rows() == {"a": ProcessRow(slide_id="a", path="/b", state="done", tiles=7)}


def test_a_slide_of_one_name_in_two_unicode_forms_has_one_row_and_one_bag(tmp_path: Path) -> None:
    project = Project(tmp_path)
    composed, decomposed = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))
    project.record(ProcessRow(slide_id=decomposed, path=f"/{decomposed}.svs", state="failed"))
    project.record(ProcessRow(slide_id=composed, path=f"/{decomposed}.svs", state="done"))
    (row,) = project.rows().values()
    assert (row.slide_id, row.path, row.state) == (composed, f"/{decomposed}.svs", "done")
    (project.bags / f"{decomposed}.h5").touch()
    assert project.bag(composed).exists()
