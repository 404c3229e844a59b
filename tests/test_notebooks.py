"""The notebooks of ``examples/``: their cells run as they stand, in order, without Jupyter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert cells
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(cells, start=1):
        assert not cell["outputs"], "notebooks are kept without output"
        exec(compile("".join(cell["source"]), f"{path.name}, code cell {number}", "exec"), names)


def test_there_are_two() -> None:
    assert {path.stem for path in NOTEBOOKS} == {"first_cohort", "read_maps"}
