"""Tables of labels, splits and slides on their way in and out of a project."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sam_mil_engine.cli.main import app
from sam_mil_engine.convert.clam_tables import import_labels, read_process_list
from sam_mil_engine.convert.grouping import group_slides
from sam_mil_engine.convert.source import Source
from sam_mil_engine.errors import DataError
from sam_mil_engine.tables.columns import Columns
from sam_mil_engine.training.data import match_bags
from sam_mil_engine.training.labels import read_labels
from sam_mil_engine.training.split_files import read_splits

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bag"))
import foreign_files as made


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def clam(tmp_path: Path) -> Path:
    folder = made.clam_folder(tmp_path / "clam")
    return made.clam_folder(folder, "s1", seed=1)


def table(folder: Path, text: str, name: str = "table.csv", *, encoding: str = "utf-8") -> Path:
    (folder / name).write_text(text, encoding=encoding)
    return folder / name


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("case_id,slide_id,label\np0,s0,a\np0,s1,b\n", "slide_id,label,patient_id\ns0,a,p0\ns1,b,p0\n"),
        ("slide,label\ns0,a\ns1,b\n", "slide_id,label\ns0,a\ns1,b\n"),
        ("s0,1\ns1,0\n", "slide_id,label\ns0,1\ns1,0\n"),
        ("slide_id;label;split;age\ns0;a;train;50\ns1;b;test;\n",
         "slide_id,label,split,age\ns0,a,train,50\ns1,b,test,\n"),
        ("case_id,patient_id,slide_id,label\nc0,p0,s0,a\nc1,p1,s1,b\n",
         "slide_id,label,patient_id,case_id\ns0,a,p0,c0\ns1,b,p1,c1\n"),
    ],
)  # fmt: skip
def test_no_column_is_lost_on_the_way_in(tmp_path: Path, text: str, becomes: str) -> None:
    target = tmp_path / "labels.csv"
    import_labels(table(tmp_path, text, encoding="utf-8-sig"), target)
    assert target.read_text(encoding="utf-8") == becomes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("case_id,patient,slide_id,label\nc0,p0,s0,a\n", "several columns: case_id, patient"),
        ("s0,a\ns1,\ns2,a\n", r"the label is missing \(empty\) in 1 of 3 rows: s1, line 2"),
        ("slide_id,label\ns0,Tumor\ns1,tumor\n", "differ only in the way they are written"),
        ("slide_id,label\n../s0,a\n", "is not a valid file name"),
    ],
)
def test_what_is_not_clear_is_refused_and_nothing_written(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        import_labels(table(tmp_path, text), tmp_path / "labels.csv")
    assert not (tmp_path / "labels.csv").exists()


def test_a_table_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    own = table(tmp_path, "slide_id,label,split\ns0,a,train\n", "labels.csv")
    before = own.read_bytes()
    import_labels(own, own)
    import_labels(shutil.copy(own, tmp_path / "copy.csv"), own)
    with pytest.raises(DataError, match="already a different table of labels") as caught:
        import_labels(table(tmp_path, "slide_id,label\ns0,a\n"), own)
    assert "rename" in str(caught.value)
    assert own.read_bytes() == before


def test_a_file_that_cannot_be_read_ends_import_and_export_with_one_error(tmp_path: Path, clam: Path) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes("slide_id,label\ns0,bösartig\n".encode("latin-1"))
    for file, says in ((tmp_path / "none.csv", "there is no such file"), (latin, "line 2 is not UTF-8")):
        with pytest.raises(DataError, match=says):
            run("import", clam, "-o", tmp_path / "study", "--labels", file)
        with pytest.raises(DataError, match=says):
            run("export", clam, "--to", "clam", "-o", tmp_path / "out", "--labels", file)


def test_the_commands_say_which_columns_they_mean(tmp_path: Path, clam: Path) -> None:
    file = table(tmp_path, "image,outcome,case_id,patient\ns0,a,c0,p0\ns1,b,c1,p0\n")
    named = ["--labels", file, "--label-column", "outcome", "--patient-column", "patient"]
    result = run("import", clam, "-o", tmp_path / "study", *named)
    assert result.exit_code == 0
    assert "labels: slide_id is the column image" in result.stderr
    assert (tmp_path / "study" / "labels.csv").read_text() == (
        "slide_id,label,patient_id,case_id\ns0,a,p0,c0\ns1,b,p0,c1\n"
    )
    result = run("export", clam, "--to", "clam", "-o", tmp_path / "out", *named, "--slide-column", "image")
    assert result.exit_code == 0
    assert (tmp_path / "out" / "labels.csv").read_text() == "case_id,slide_id,label\np0,s0,a\np0,s1,b\n"


def test_columns_go_out_where_the_other_tool_has_a_place_for_them(tmp_path: Path, clam: Path) -> None:
    file = table(tmp_path, "slide_id,label,split\ns0,a,train\ns1,b,test\n")
    run("export", clam, "--to", "clam", "-o", tmp_path / "clam-out", "--labels", file)
    text = (tmp_path / "clam-out" / "labels.csv").read_text()
    assert text == "case_id,slide_id,label,split\ns0,s0,a,train\ns1,s1,b,test\n"
    result = run("export", clam, "--to", "sam-mil", "-o", tmp_path / "sam-out", "--labels", file)
    assert (tmp_path / "sam-out" / "labels.csv").read_text() == "s0,a\ns1,b\n"
    assert "labels: SAM-MIL's table has no columns for split" in result.stderr


def test_splits_of_clam_with_numbers_as_decimals(tmp_path: Path) -> None:
    folder = made.clam_folder(tmp_path / "clam", "1006")
    made.clam_folder(folder, "1007", seed=1)
    splits = table(tmp_path, ",train,val,test\n0,1006.0,1007.0,\n", "splits_0.csv")
    run("export", folder, "--to", "clam", "-o", tmp_path / "out", "--splits", splits)
    (split,) = read_splits(tmp_path / "out" / "splits")
    assert (split.train, split.val, split.test) == (("1006",), ("1007",), ())


def test_a_process_list_names_files_and_cuts_nothing_else_off(tmp_path: Path) -> None:
    file = table(tmp_path, "slide_id;status\na.svs;processed\nb.c;processed\n7.0;processed\nd.tif;failed_seg\n")
    assert read_process_list(file, ["a", "b.c", "7", "d"]) == ({"a", "b.c", "7"}, [])
    assert read_process_list(file, ["b", "a.svs"]) == ({"a.svs"}, ["b.c", "7.0"])
    with pytest.raises(DataError, match="no slide in this list is processed"):
        read_process_list(table(tmp_path, "slide_id,status\na,tbp\n"), ["a"])


def test_names_of_columns_do_not_count_where_the_user_names_one(tmp_path: Path) -> None:
    file = table(tmp_path, "slide_id,label,case\ns0,a,yes\ns1,b,no\n")
    target = tmp_path / "labels.csv"
    import_labels(file, target, columns=Columns(patient="slide_id"))
    assert target.read_text() == "slide_id,label,patient_id,case\ns0,a,s0,yes\ns1,b,s1,no\n"


def test_names_in_two_unicode_forms_are_one_slide_from_the_features_to_the_labels(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))
    folder = made.clam_folder(tmp_path / "clam", decomposed)
    (coordinates,) = (folder / "patches").iterdir()
    coordinates.rename(coordinates.with_name(coordinates.name.replace(decomposed, composed)))
    listed = table(tmp_path, f"slide_id,status\n{composed}.svs,processed\n", "list.csv")
    made.segments_pickle(tmp_path / "segments" / f"{decomposed}.pkl", made.nested_masks())
    source = Source(folder / "pt_files", process_list=listed)
    (item,) = group_slides(source, tmp_path / "study", segments=tmp_path / "segments")
    assert item.error is None
    assert item.slide_id == composed
    for form in (composed, decomposed):
        labels = read_labels(table(tmp_path, f"slide_id,label\n{form},a\n"))
        assert list(match_bags(labels, tmp_path / "study", one_class=True).paths) == [composed]
