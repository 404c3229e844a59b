"""How one slide of many ended, as a person and as a program reads it."""

from __future__ import annotations

from pathlib import Path

from sam_mil_engine.convert.exporting import ExportedFiles
from sam_mil_engine.convert.importing import ImportedBag
from sam_mil_engine.errors import BagError
from sam_mil_engine.process.results import SlideResult

PATH = Path("slides") / "one.svs"


def test_a_result_follows_the_name_of_its_slide() -> None:
    imported = SlideResult("one", PATH, ImportedBag(5, groups=2, notes=("mpp is unknown",)))
    assert imported.summary() == "one: 5 patches, 2 groups"
    assert imported.row() == {
        "slide_id": "one",
        "path": str(PATH),
        "state": "done",
        "patches": 5,
        "groups": 2,
        "segments": None,
        "reused": False,
        "notes": ["mpp is unknown"],
    }
    exported = SlideResult("one", PATH, ExportedFiles((Path("out.csv"),)))
    assert exported.row() == {"slide_id": "one", "path": str(PATH), "state": "done", "files": ["out.csv"]}


def test_a_failure_says_what_and_what_to_do() -> None:
    error = BagError("the bag has no segments", where=PATH, hint="Group it first")
    failed: SlideResult[ImportedBag] = SlideResult("one", PATH, error=error)
    assert failed.summary() == f"one: {error}"
    slide = {"slide_id": "one", "path": str(PATH), "state": "failed"}
    assert failed.row() == {**slide, "error": "the bag has no segments", "hint": "Group it first"}
    unexpected: SlideResult[ImportedBag] = SlideResult("one", PATH, error=ValueError("odd"))
    assert unexpected.row() == {**slide, "error": "odd", "hint": None}
