"""How many files a reader has to follow: the way of one slide through ``process/``."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import FrameType

import pytest
from cheap_models import SETTINGS, use_cheap_models

import sam_mil_engine.process
from sam_mil_engine.process.runner import process_slide

ROOM = Path(sam_mil_engine.process.__file__).parent


def test_one_slide_takes_five_files(tiny_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_cheap_models(put=monkeypatch.setattr)
    entered: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.parent == ROOM and frame.f_code.co_name != "<module>":
            entered.add(path.name)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        process_slide(tiny_slide, tmp_path / "project", settings=SETTINGS)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert entered == {"runner.py", "project.py", "job.py", "stages.py", "results.py"}
