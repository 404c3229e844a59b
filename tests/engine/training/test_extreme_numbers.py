"""Numbers that no program wrote on purpose: a table with one is refused, with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam_mil_engine.errors import DataError
from sam_mil_engine.training.split_files import read_splits


@pytest.mark.parametrize("number", ["1e400", "9" * 400, "-inf", "nan", "0.5", "²", "0x10", ""])
@pytest.mark.parametrize("column", ["repeat", "fold"])
def test_splits_with_a_number_that_is_no_whole_one(tmp_path: Path, number: str, column: str) -> None:
    path = tmp_path / "splits.csv"
    row = {"repeat": "0", "fold": "0", "split": "train", "slide_id": "a", column: number}
    path.write_text(f"{','.join(row)}\n{','.join(row.values())}\n", encoding="utf-8")
    with pytest.raises(DataError, match="whole numbers"):
        read_splits(path)
