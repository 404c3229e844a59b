"""Torch's libraries are loaded without Python's global lock, before torch itself."""

from __future__ import annotations

import ctypes
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from napari_sam_mil import native


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A torch that is not imported yet, and the libraries that were loaded for it."""
    names: list[str] = []
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libtorch_python.so").touch()
    spec = ModuleSpec("torch", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(native, "find_spec", lambda name: spec if name == "torch" else None)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: names.append(Path(name).name))
    return names


def test_the_libraries_are_loaded_once_and_before_torch(loaded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    native.prepare_for_torch()
    assert loaded == ["libtorch_python.so"]
    monkeypatch.setitem(sys.modules, "torch", native)
    native.prepare_for_torch()
    assert loaded == ["libtorch_python.so"]


def test_a_library_that_does_not_load_is_left_to_torch(loaded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: str) -> None:
        raise OSError("no such symbol")

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    native.prepare_for_torch()
    assert loaded == []
