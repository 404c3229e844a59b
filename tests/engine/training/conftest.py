"""A small cohort on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from cohorts import witness_bag, write_bag


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(folder of 40 bags, labels.csv): half normal, half tumour."""
    folder = tmp_path_factory.mktemp("cohort")
    (folder / "bags").mkdir()
    lines = ["slide_id,label"]
    for number in range(40):
        positive = number % 2 == 1
        bag = witness_bag(f"s{number:02d}", positive, seed=number)
        write_bag(folder / "bags", bag)
        lines.append(f"{bag.slide_id},{'tumour' if positive else 'normal'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder / "bags", folder / "labels.csv"
