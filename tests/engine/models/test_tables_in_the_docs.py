"""The tables of models in the docs are what the registry has."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from sam_mil_engine.models.aggregators import AGGREGATORS

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = spec_from_file_location("model_tables", ROOT / "scripts" / "model_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_is_the_registrys(tables: ModuleType) -> None:
    for name in tables.FILES:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert tables.renewed(text) == text, f"{name}: run `python scripts/model_tables.py`"


def test_every_kind_is_in_the_docs_and_a_new_model_is_missed(
    tables: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = "".join((ROOT / name).read_text(encoding="utf-8") for name in tables.FILES)
    for kind in ("segmenters", "encoders", "aggregators", "classifiers"):
        assert docs.count(f"<!-- models: {kind} -->") == 1
    monkeypatch.setitem(AGGREGATORS, "new", replace(AGGREGATORS["abmil"], name="new"))
    assert "| `new` | AB-MIL" in tables.renewed(docs)
    assert "`new`<!-- end names -->" in tables.renewed(docs)
