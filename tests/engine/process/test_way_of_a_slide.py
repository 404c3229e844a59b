"""How many files a reader has to follow: the way of one slide, as CONTRIBUTING tells it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest
from cheap_models import SETTINGS, use_cheap_models

from contributing import Walk, code, section
from sam_mil_engine.cli.main import run
from sam_mil_engine.models.files import MODELS_VARIABLE
from sam_mil_engine.process.runner import process_slide
from traces import traced


def test_one_slide_takes_the_files_that_contributing_names(
    tiny_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_cheap_models(put=monkeypatch.setattr)
    with traced() as trace:
        process_slide(tiny_slide, tmp_path / "project", settings=SETTINGS)
    said = section("## The walk of a slide").partition("the slide passes these files:")[2].partition(".\n")[0]
    named = {f"sam_mil_engine/process/{name}" for name in code(said)}
    assert set(trace.files_below("sam_mil_engine/process/")) == named


def test_the_command_walks_as_contributing_says(
    tiny_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    command = ["sam-mil-engine", "process", str(tiny_slide), "-o", str(tmp_path / "study"), "--patch-size", "128"]
    monkeypatch.setattr(sys, "argv", command)
    for heavy in ("torch", "timm", "skimage.segmentation", "sam_mil_engine.features.efficientnet_lite0"):
        import_module(heavy)  # a trace makes imports slow
    with traced() as trace, pytest.raises(SystemExit) as end:
        run()
    assert end.value.code == 0
    Walk(section("## The walk of a slide"), "sam_mil_engine").check(trace)
