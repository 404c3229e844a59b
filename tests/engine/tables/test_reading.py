"""CSV files as spreadsheets, R and other tools save them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam_mil_engine.errors import DataError
from sam_mil_engine.tables.reading import read_frame, read_records, read_table, whole_number
from sam_mil_engine.tables.writing import csv_records, csv_text

ROWS = (("001", "bösartig"), ("002", "gutartig"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("first", "separator"), [("", ","), ("", ";"), ("", "\t"), ("sep=;\n", ";")])
def test_encodings_and_separators(tmp_path: Path, encoding: str, first: str, separator: str) -> None:
    lines = [separator.join(cells) for cells in (("slide_id", "label"), *ROWS)]
    file = tmp_path / "table.csv"
    file.write_text(first + "\r\n".join(lines), encoding=encoding, newline="")
    table = read_table(file)
    assert (table.heading, table.rows, table.separator) == (("slide_id", "label"), ROWS, separator)


def test_quotes_empty_rows_and_short_rows(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text('\n"a;b",c,d\n1, 2 \n,,\n\n"3,3",4,5,,\n"line\nbreak"\n', encoding="utf-8")
    table = read_table(file)
    assert table.heading == ("a;b", "c", "d")
    assert table.rows == (("1", "2 ", ""), ("3,3", "4", "5"), ("line\nbreak", "", ""))
    assert table.lines == (3, 6, 8)
    assert table.column(1) == ["2", "4", ""]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b"\n \n", "it is empty"),
        ("slide_id,label\na,gr\u00fcn\n".encode("latin-1"), "line 2 is not UTF-8: byte 0xfc"),
        (b"PK\x03\x04rest", "a workbook of a spreadsheet"),
        (b"a,b\n\0,1\n", "it is not text"),
        (b"a,b\n1,2,3\n", "line 2 has 3 cells, the heading 2, read with a comma between them"),
        (b"a;b\n1;2;3\n", "read with a semicolon between them"),
        (b'a,b\n1,"' + b"x" * 200_000 + b'"\n', "field larger than field limit"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, data: bytes, says: str) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(data)
    with pytest.raises(DataError, match=says) as caught:
        read_table(file)
    assert caught.value.where == str(file)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path)


def test_records_keep_paths_and_take_off_quotes(tmp_path: Path) -> None:
    file = tmp_path / "process.csv"
    path = "/slides/ u\u0308 .svs"
    file.write_text(csv_records([{"slide_id": "=a", "path": path, "n": -1.5}]), encoding="utf-8")
    assert file.read_text(encoding="utf-8").splitlines()[1].startswith("'=a,")
    assert read_records(file, needs=("slide_id",)) == {2: {"slide_id": "=a", "path": path, "n": "-1.5"}}
    with pytest.raises(DataError, match=r"process.csv is damaged \(no column state, found slide_id, path, n\)"):
        read_records(file, needs=("slide_id", "state"))
    file.write_bytes(b"")
    assert read_records(file, needs=("slide_id",)) == {}
    assert csv_records([]) == ""
    assert csv_text((), [("a", None)]) == "a,\n"


@pytest.mark.parametrize(("separator", "point"), [(",", "."), (";", "."), (";", ",")])
def test_numbers_of_a_spreadsheet_in_any_language(tmp_path: Path, separator: str, point: str) -> None:
    file = tmp_path / "predictions.csv"
    rows = [("slide_id", "label", "p_1"), ("007", "NA", f"0{point}25"), ("008", "", "")]
    file.write_text("\n".join(separator.join(row) for row in rows), encoding="utf-8-sig")
    table = read_frame(file, text=("slide_id", "label", "not_there"))
    assert table["slide_id"].tolist() == ["007", "008"]
    assert table["label"].tolist() == ["NA", ""]
    assert table["p_1"].tolist()[0] == 0.25
    assert table["p_1"].isna().tolist() == [False, True]
    file.write_bytes(b"")
    with pytest.raises(DataError, match="not a readable CSV table"):
        read_frame(file)


def test_whole_numbers() -> None:
    assert [whole_number(text) for text in ("3", "3.0", "3,0")] == [3, 3, 3]
    with pytest.raises(ValueError, match="not a whole number"):
        whole_number("3.5")
