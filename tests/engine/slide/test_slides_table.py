"""Slide tables: what they state, and what is said of wrong cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam_mil_engine.errors import DataError
from sam_mil_engine.slide.entry import SlideEntry
from sam_mil_engine.slide.table import read_slides_table


def table(folder: Path, text: str) -> Path:
    for name in ("a.svs", "b.ome.tiff"):
        (folder / "scans").mkdir(exist_ok=True)
        (folder / "scans" / name).touch()
    file = folder / "cohort.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_only_the_path_is_needed_and_counts_from_the_table(tmp_path: Path) -> None:
    found = read_slides_table(table(tmp_path, "path\nscans/a.svs\nscans/b.ome.tiff\n"))
    assert found == [
        SlideEntry(tmp_path / "scans/a.svs", "a"),
        SlideEntry(tmp_path / "scans/b.ome.tiff", "b"),
    ]


def test_what_a_table_states(tmp_path: Path) -> None:
    text = "label;Slide ID;path;mpp;preset\ntumour;A 1;scans/a.svs;0,25;biopsy\n;;scans/b.ome.tiff;NA;\n"
    assert read_slides_table(table(tmp_path, text)) == [
        SlideEntry(tmp_path / "scans/a.svs", "A 1", mpp=0.25, preset="biopsy"),
        SlideEntry(tmp_path / "scans/b.ome.tiff", "b"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slide_id,label\na,b\n", "the column path is missing, found slide_id, label"),
        ("path\n", "the table names no slide"),
        ("path\nscans/c.svs\n", r"line 2, column path: there is no file .*scans/c.svs; correct the path"),
        ("path,mpp\nscans/a.svs,fine\n", r"line 2, column mpp: 'fine' is not a resolution; write µm per"),
        ("path,mpp\nscans/a.svs,250\n", r"line 2, column mpp: '250' is not a resolution"),
        (
            "path,preset\nscans/a.svs,bone\n",
            r"column preset: there is no tissue preset 'bone'; choose one of: default",
        ),
        ("path,slide_id\nscans/a.svs,x\nscans/b.ome.tiff,x\n", "line 3, column slide_id: 'x' is in line 2 too"),
        ("path\nscans/a.svs\nscans/a.svs\n", "line 3, column path: 'a' is in line 2 too"),
        ("path,slide_id\nscans/a.svs,x/y\n", "line 2, column slide_id: 'x/y' cannot name files"),
        ("path,slide_id\nscans/a.svs,x\nscans/b.ome.tiff,X\n", "line 3, column slide_id: 'X' is in line 2 too"),
        ("path,slide_id\nscans/a.svs,CON\n", "'CON' cannot name files"),
        ('path,slide_id\nscans/a.svs,"x\ny"\n', r"line 3, column slide_id: 'x\\ny' cannot name files"),
        (f"path,slide_id\nscans/a.svs,{'x' * 300}\n", "'x{300}' cannot name files"),
        ("path,slide_id\nscans/a.svs,x\n./scans/a.svs,y\n", "line 3, column path: the file is in line 2 too"),
        (
            "path,tissue\nscans/a.svs,no.png\n",
            "column tissue: there is no file .*, or leave the cell empty",
        ),
        ("path,tissue\nscans/a.svs,scans\n", "line 2, column tissue: .*scans is a folder; name a file"),
        ("path,slide_id\n,x\n", "line 2, column path: the cell is empty"),
        ("path,slide_id,mpp\n,x,0\n", "line 2, column path: .*; line 2, column mpp: '0' is not"),
    ],
)
def test_wrong_cells_are_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read_slides_table(table(tmp_path, text))
    assert caught.value.where == str(tmp_path / "cohort.csv")


def test_pieces_of_one_file_that_differ_in_tissue_are_two_slides(tmp_path: Path) -> None:
    for name in "xy":
        (tmp_path / f"{name}.png").touch()
    text = "path,slide_id,tissue\nscans/a.svs,x,x.png\nscans/a.svs,y,y.png\n"
    assert [one.slide_id for one in read_slides_table(table(tmp_path, text))] == ["x", "y"]


def test_columns_that_nothing_reads_are_named(tmp_path: Path) -> None:
    told: list[str] = []
    text = "path,slide_id,mppx,label,patient_id,split,age\nscans/a.svs,x,0.5,tumour,A,train,61\n"
    read_slides_table(table(tmp_path, text), progress=lambda report: told.append(report.message))
    assert told == ["columns that are not used: mppx, age"]


def test_many_problems_are_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 11, .*; and 4 more"):
        read_slides_table(table(tmp_path, "path\n" + "".join(f"none-{one}.svs\n" for one in range(14))))
