"""Whole runs of `process` in this process, and what the project says of them."""

from __future__ import annotations

from pathlib import Path

from cheap_models import SETTINGS

from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.process.project import Project
from sam_mil_engine.process.results import ProcessedSlide, SlideResult
from sam_mil_engine.settings import ProcessSettings


def run(
    slides: list[Path], project: Path, settings: ProcessSettings = SETTINGS
) -> dict[str, SlideResult[ProcessedSlide]]:
    """Outcome of every slide, by its name."""
    return {item.path.stem: item for item in process_slides(slides, project, settings=settings, device="cpu")}


def states(project: Path) -> dict[str, str]:
    """What ``process.csv`` calls every slide."""
    return {name: row.state for name, row in Project(project).rows().items()}
