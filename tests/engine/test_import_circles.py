"""No module of the engine needs itself, not even by way of others or inside a function."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import grimp


def circle(graph: grimp.ImportGraph) -> list[str]:
    """Return the modules of one circle of imports; empty where there is none."""
    imports = {name: graph.find_modules_directly_imported_by(name) & graph.modules for name in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle(grimp.build_graph("sam_mil_engine", cache_dir=None)) == []


def test_a_circle_is_found() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in (("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")):
        graph.add_import(importer=importer, imported=imported)
    assert set(circle(graph)) == {"a", "b", "c"}
