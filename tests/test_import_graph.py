"""The imports of both packages, those inside functions too: no module needs itself to be loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import grimp
import pytest


def circle(modules: Iterable[str], imported_by: Callable[[str], Iterable[str]]) -> list[str]:
    """Return modules that import each other in a circle, the first one again at the end; empty where none do."""
    try:
        TopologicalSorter({module: list(imported_by(module)) for module in modules}).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1]
    return []


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Every import of both packages, without those for type checkers alone."""
    return grimp.build_graph("sam_mil_engine", "napari_sam_mil", exclude_type_checking_imports=True, cache_dir=None)


def test_a_circle_is_found() -> None:
    imports = {"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}
    found = circle(imports, imports.__getitem__)
    assert found[0] == found[-1]
    assert set(found) == {"a", "b", "c"}
    assert all(there in imports[here] for here, there in pairwise(found))
    assert circle(imports, lambda module: [name for name in imports[module] if module != "c"]) == []


def test_no_module_imports_itself_through_others(graph: grimp.ImportGraph) -> None:
    assert circle(graph.modules, graph.find_modules_directly_imported_by) == []
