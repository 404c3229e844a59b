"""The map and the searches of CONTRIBUTING hold for the code as it is."""

from __future__ import annotations

import shlex
import subprocess
import tomllib

import pytest

from contributing import ROOT, code, section, table

FINDING = table(section("## Where do I find"))


def contract(package: str) -> list[str]:
    """Layers of a package in ``pyproject.toml``, the lowest first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (
        one["layers"]
        for one in project["tool"]["importlinter"]["contracts"]
        if one["type"] == "layers" and one["containers"] == [package] and one["exhaustive"]
    )
    return layers[::-1]


@pytest.mark.parametrize(
    ("package", "heading"), [("sam_mil_engine", "### The engine"), ("napari_sam_mil", "### The plugin")]
)
def test_the_map_shows_the_rooms_of_the_contract(package: str, heading: str) -> None:
    shown: dict[str, set[str]] = {}
    for cell, what, imports in table(section(heading)):
        (name,) = code(cell)
        assert (ROOT / "src" / package / name).exists(), name
        assert what
        assert imports.startswith("all above") or not shown, name
        shown[name.removesuffix("/").removesuffix(".py")] = set(code(imports))
    order = list(shown)
    for layer in contract(package):
        rooms = {room.strip() for room in layer.replace("|", ":").split(":")}
        assert set(order[: len(rooms)]) == rooms, f"the next rooms are those of the layer {layer}"
        del order[: len(rooms)]
        for room in rooms:
            assert shown[room] == (rooms - {room} if "|" in layer else set()), room
    assert not order, "all rooms have a place in the contract"


@pytest.mark.parametrize(("search", "file", "most"), [row[1:] for row in FINDING], ids=[row[0] for row in FINDING])
def test_one_search_finds_it(search: str, file: str, most: str) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("git grep needs a checkout")
    command = shlex.split(search.strip("`"))
    assert command[:2] == ["git", "grep"]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    assert file.strip("`") in {line.split(":")[0] for line in found}
    assert len(found) <= int(most), found
