"""Advice for both readers: an error that names commands or options has advice for the window too."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import sam_mil_engine
from sam_mil_engine import errors

SOURCES = Path(sam_mil_engine.__file__).parents[1]
#: Options, our commands and those of others, variables of the environment.
COMMAND = re.compile(
    r"(?:^|[\s(`'])--\w|sam-mil-engine|\bpip install|`[a-z]+ [^`]*`|\b(?:HF|HDF5)_[A-Z_]+|command line"
)


Texts = dict[str, list[str]]


def calls() -> Iterator[tuple[str, ast.Call, Texts]]:
    """Every call in the engine and the plugin that gives a hint; the command's own modules have no window."""
    for path in sorted(SOURCES.rglob("*.py")):
        parts = path.relative_to(SOURCES).parts
        if parts[0] not in ("sam_mil_engine", "napari_sam_mil") or "cli" in parts:
            continue
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        hinting = [one for one in nodes if isinstance(one, ast.Call) and _keyword(one, "hint", "missing")]
        known = _assigned(nodes) if hinting else {}
        for node in hinting:
            yield f"{'/'.join(parts)}:{node.lineno}", node, known


def _keyword(call: ast.Call, *names: str) -> ast.expr | None:
    return next((one.value for one in call.keywords if one.arg in names), None)


def words(node: ast.AST | None, known: Texts) -> str:
    """Return what stands in an expression, and in what its names are set to in the same module."""
    texts: list[str] = []
    for one in () if node is None else ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            texts.append(one.value)
        elif isinstance(one, ast.Attribute) and one.attr == "option":
            texts.append(" --option")
        elif isinstance(one, ast.Name):
            texts += known.get(one.id, [])
    return "".join(texts)


def _assigned(nodes: list[ast.AST]) -> Texts:
    """Return name -> texts that it is set to somewhere in a module, alone or in a tuple."""
    known: Texts = {}
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
            for name in names:
                known.setdefault(name, []).append(words(node.value, {}))
    return known


def test_the_engine_does_name_commands() -> None:
    named = [place for place, call, _ in calls() if _keyword(call, "window_hint") is not None]
    assert len(named) > 30, "else the next test could not fail"


def test_a_hint_that_names_a_command_has_one_for_the_window() -> None:
    wrong = []
    for place, call, known in calls():
        in_window = _keyword(call, "window_hint")
        said = words(_keyword(call, "hint", "missing") if in_window is None else in_window, known)
        if COMMAND.search(said):
            wrong.append(f"{place}: {'no window_hint' if in_window is None else 'window_hint'}: {said!r}")
    assert not wrong, "\n".join(wrong)


def test_what_is_wrong_is_said_without_options() -> None:
    for path in sorted(SOURCES.rglob("*.py")):
        if "cli" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if name.endswith("Error") and hasattr(errors, name) and node.args:
                said = words(node.args[0], {})
                assert not re.search(r"(?:^|[\s(`'])--\w", said), f"{path.name}:{node.lineno}: {said!r}"


def test_an_error_keeps_both_hints_on_its_way_between_processes() -> None:
    error = errors.SlideError("no tissue", where="a.svs", hint="Try --preset biopsy", window_hint="Try Biopsy")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is errors.SlideError
    assert (back.what, back.where, back.hint, back.window_hint) == (
        "no tissue",
        "a.svs",
        "Try --preset biopsy",
        "Try Biopsy",
    )
    assert str(back) == "a.svs: no tissue. Try --preset biopsy"
    assert str(back.for_window()) == "a.svs: no tissue. Try Biopsy"
    assert str(errors.SlideError("damaged", hint="Copy it again").for_window()) == "damaged. Copy it again"
