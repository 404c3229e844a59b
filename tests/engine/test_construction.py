"""What the code of both packages does not do: assert instead of checking, and fields by their place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sam_mil_engine

SOURCES = Path(sam_mil_engine.__file__).parents[1]
FILES = sorted(file for name in ("sam_mil_engine", "napari_sam_mil") for file in (SOURCES / name).rglob("*.py"))
#: Cards of models, whose tables are written once for all of them.
CARDS = {
    "ModelFile",
    "EncoderDescription",
    "SegmenterDescription",
    "ClassifierDescription",
    "HubModel",
    "Model",
    "Entry",
}


def trees() -> Iterator[tuple[str, ast.Module]]:
    for file in FILES:
        yield str(file.relative_to(SOURCES)), ast.parse(file.read_text(encoding="utf-8"))


def records() -> dict[str, int]:
    """Dataclasses and named tuples -> how many fields they have at least."""
    found: dict[str, int] = {}
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                marks = [*map(ast.unparse, node.decorator_list), *map(ast.unparse, node.bases)]
                if any("dataclass" in mark or mark == "NamedTuple" for mark in marks):
                    fields = sum(isinstance(line, ast.AnnAssign) for line in node.body)
                    found[node.name] = min(fields, found.get(node.name, fields))
    return found


def by_place(source: ast.AST, records: dict[str, int]) -> list[str]:
    calls = (node for node in ast.walk(source) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    return [
        f"{call.lineno}: {ast.unparse(call)[:80]}"
        for call in calls
        if records.get(call.func.id, 0) > 3
        if len(call.args) > 3 or any(isinstance(argument, ast.Starred) for argument in call.args)
    ]


def test_more_than_three_fields_are_named() -> None:
    known = {name: count for name, count in records().items() if name not in CARDS}
    assert len(known) > 50
    assert {name: found for name, tree in trees() if (found := by_place(tree, known))} == {}


@pytest.mark.parametrize("call", ["Frame(1, 2, 3, 4)", "Frame(1, *rest)"])
def test_fields_by_place_are_found(call: str) -> None:
    assert by_place(ast.parse(call), {"Frame": 4})
    assert not by_place(ast.parse("Frame(1, 2, 3, fourth=4)"), {"Frame": 4})


def test_nothing_is_checked_by_assert() -> None:
    found = [
        f"{name}:{node.lineno}" for name, tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Assert)
    ]
    assert found == []
