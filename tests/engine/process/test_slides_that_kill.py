"""A slide over which a C library ends the process, or never ends: it fails alone, without ``--jobs`` too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cheap_models import use_cheap_models
from whole_runs import run, states

from sam_mil_engine import first_look
from sam_mil_engine.errors import SlideError
from sam_mil_engine.process.project import Project
from sam_mil_engine.slide import first_read
from slides_that_kill import slides_kill_by_name
from tiny_slides import write_tiny_slide


@pytest.fixture(autouse=True)
def _children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_cheap_models(put=monkeypatch.setattr)
    monkeypatch.setattr(first_look, "MOST_WORK_S", 8.0)
    with slides_kill_by_name(tmp_path, monkeypatch):
        yield


def test_a_slide_that_crashes_or_hangs_its_reader_fails_alone(tmp_path: Path) -> None:
    names = ("a", "crash", "endless", "z")
    slides = [write_tiny_slide(tmp_path / f"{name}.tiff", seed=seed) for seed, name in enumerate(names)]
    results = run(slides, tmp_path / "p")
    assert {name for name, item in results.items() if item.error is None} == {"a", "z"}
    for name, words in (("crash", "crashed"), ("endless", "processor time")):
        error = results[name].error
        assert isinstance(error, SlideError)
        assert words in error.what
        assert f"{name}.tiff" in str(error)
        assert "copy it again" in Project(tmp_path / "p").rows()[name].hint
    assert states(tmp_path / "p") == {"a": "done", "crash": "failed", "endless": "failed", "z": "done"}


def test_what_is_wrong_with_a_slide_otherwise_is_said_as_before(tmp_path: Path) -> None:
    path = tmp_path / "text.svs"
    path.write_bytes(b"hello, this is text\n")
    first_read.require_readable(path)
    with pytest.raises(SlideError, match="text file"):
        first_read.open_slide(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_named_pipe_is_no_slide(tmp_path: Path) -> None:
    """Opening it would wait for ever."""
    os.mkfifo(tmp_path / "s.svs")
    with pytest.raises(SlideError, match="it is not a file"):
        first_read.open_slide(tmp_path / "s.svs")
