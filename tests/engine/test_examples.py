"""The examples in the docstrings of the public API: run as they stand, one after the other, in one folder."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import sam_mil_engine
from sam_mil_engine.models.files import MODELS_VARIABLE

#: The package's own docstring makes the slides, and says in which order the examples follow.
ORDER = re.findall(r":func:`(\w+)`", sam_mil_engine.__doc__ or "")


def test_every_public_function_has_a_place_in_the_order() -> None:
    assert len(ORDER) == len(set(ORDER))
    assert {"__version__", *ORDER} == set(sam_mil_engine.__all__)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    finder, said = doctest.DocTestFinder(recurse=False), list[str]()
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE)
    for name in ["", *ORDER]:
        holder = getattr(sam_mil_engine, name) if name else sam_mil_engine
        (example,) = finder.find(holder, name or "sam_mil_engine", globs={})
        assert example.examples, f"{name} has no example"
        failed = runner.run(example, out=said.append).failed
        assert not failed, "".join(said)
