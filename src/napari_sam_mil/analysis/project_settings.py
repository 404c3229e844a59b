"""The settings of a project."""

from __future__ import annotations

from pathlib import Path

from sam_mil_engine import layout
from sam_mil_engine.process import recorded
from sam_mil_engine.settings import ProcessSettings
from sam_mil_engine.slide.entry import SlideEntry


def recorded_slide(project: Path, path: Path) -> SlideEntry:
    """Return what a project records of a slide file: its name there, and what was stated about it."""
    from sam_mil_engine.process.project import Project

    if not (project / layout.PROCESS_LIST).is_file():
        return SlideEntry.of(path)
    return Project(project).entries([path], settings=ProcessSettings())[0]


def recorded_settings(project: Path) -> ProcessSettings:
    """Return the most recent settings of a project, or the defaults for a new project."""
    return recorded.recorded_settings(project) or ProcessSettings()
