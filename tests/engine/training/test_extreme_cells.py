"""Cells that no program wrote on purpose: a table with one is refused, with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam_mil_engine.errors import DataError
from sam_mil_engine.slide.table import read_slides_table
from sam_mil_engine.training.split_files import read_splits


@pytest.mark.parametrize("number", ["1e400", "9" * 400, "-inf", "nan", "0.5", "²", "0x10", ""])
@pytest.mark.parametrize("column", ["repeat", "fold"])
def test_splits_with_a_number_that_is_no_whole_one(tmp_path: Path, number: str, column: str) -> None:
    path = tmp_path / "splits.csv"
    row = {"repeat": "0", "fold": "0", "split": "train", "slide_id": "a", column: number}
    path.write_text(f"{','.join(row)}\n{','.join(row.values())}\n", encoding="utf-8")
    with pytest.raises(DataError, match="whole numbers"):
        read_splits(path)


@pytest.mark.parametrize("path", ["9" * 400, "~nobody-of-this-name/a.svs", "../" * 300 + "x", "\u202e.svs"])
def test_slide_tables_with_paths_that_lead_nowhere(tmp_path: Path, path: str) -> None:
    table = tmp_path / "slides.csv"
    table.write_text(f"path\n{path}\n", encoding="utf-8")
    with pytest.raises(DataError, match="there is no file"):
        read_slides_table(table)
