"""Slides over which the child process that looks first crashes, or never ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sam_mil_engine import first_look

#: In the child that looks first, slides of these names end it, or keep it busy.
SITE = """
import os, sys
if any("first_look" in part for part in sys.orig_argv):
    import sam_mil_engine.slide.first_read as module
    read = module.read_some
    def read_or_crash(path):
        if path.stem == "crash":
            os.abort()
        while path.stem == "endless":
            pass
        return read(path)
    module.read_some = read_or_crash
"""


@contextmanager
def slides_kill_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[first_look._Child]:
    """A child for which ``crash.*`` is deadly and ``endless.*`` has no end; its script goes into ``folder``."""
    child = first_look._Child()
    monkeypatch.setattr(first_look, "_CHILD", child)
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    paths = [str(folder / "site"), *(path for path in sys.path if path.endswith("src"))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]))
    yield child
    child.stop()
