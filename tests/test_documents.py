"""What the documents say of the code: commands, functions, public names, pages."""

from __future__ import annotations

import ast
import re

import pytest

import sam_mil_engine
from documents import ROOT, Shown, parse, shown_commands
from sam_mil_engine.cli.assignments import assign
from sam_mil_engine.settings import ProcessSettings, TrainSettings
from sam_mil_engine.settings.base import Settings

COMMANDS = shown_commands()
SETTINGS: dict[str, type[Settings]] = {
    "process": ProcessSettings,
    "train": TrainSettings,
    "cross-validate": TrainSettings,
}
DOCS = sorted(path.name for path in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("shown", COMMANDS, ids=str)
def test_the_command_line_takes_what_is_shown(shown: Shown) -> None:
    parse(shown.words, elided=not shown.in_block)
    kind = SETTINGS.get(shown.words[0])
    sets = [value for option, value in zip(shown.words, shown.words[1:], strict=False) if option == "--set"]
    if kind is not None:
        kind.parse(assign({}, sets, kind))


def test_a_wrong_option_is_found() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse(("train", "...", "--modle", "mean"))
    with pytest.raises(Exception, match="Missing parameter: labels"):
        parse(("train", "--bags", "study/bags"))


def names_in(path: str) -> set[str]:
    """Functions, classes and methods (``Class.method``) of a module."""
    body = ast.parse((ROOT / "src" / "sam_mil_engine" / path).read_text(encoding="utf-8")).body
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    methods = {
        f"{one.name}.{node.name}" for one in classes for node in one.body if isinstance(node, ast.FunctionDef)
    }
    return functions | methods | {one.name for one in classes}


def test_every_function_of_the_methods_is_where_the_page_says() -> None:
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)`\s+`([\w.]+)`", text)
    assert len(named) > 30
    assert [pair for pair in named if pair[1] not in names_in(pair[0])] == []


def test_every_message_of_the_faults_is_in_the_code() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "src").rglob("*.py")]
    constants = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    said = "\0".join(text for text in constants if isinstance(text, str))
    rows = re.findall(r"^\| (.*?) \|", (ROOT / "docs" / "faults.md").read_text(encoding="utf-8"), re.MULTILINE)
    quoted = [text for row in rows for text in re.findall(r"\*([^*]+)\*", row)]
    assert len(quoted) > 25
    pieces = [(text, part.strip(" (),")) for text in quoted for part in text.split("…")]
    assert [text for text, piece in pieces if piece not in said] == []


def test_the_reference_has_every_public_name() -> None:
    shown = set(re.findall(r"^::: sam_mil_engine\.(\w+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE))
    assert shown - {"errors"} == set(sam_mil_engine.__all__) - {"__version__"}


@pytest.mark.parametrize("page", DOCS)
def test_every_page_is_in_the_navigation(page: str) -> None:
    assert re.search(rf"[ :-] {re.escape(page)}$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", DOCS)
def test_a_paragraph_of_a_list_is_indented_as_the_site_needs_it(page: str) -> None:
    """With fewer than four spaces the site ends the list there, and its next number stands within a sentence."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.M | re.S)
    assert not re.findall(r"\n\n {1,3}[^ \n][^\n]*", text)
