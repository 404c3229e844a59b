"""The settings of a project."""

from __future__ import annotations

import json
from pathlib import Path

from sam_mil_engine import layout
from sam_mil_engine.errors import ProjectError
from sam_mil_engine.settings import ProcessSettings
from sam_mil_engine.slide.entry import SlideEntry


def recorded_slide(project: Path, path: Path) -> SlideEntry:
    """Return what a project records of a slide file: its name there and, where it was stated, its resolution."""
    from sam_mil_engine.process.project import Project

    if not (project / layout.PROCESS_LIST).is_file():
        return SlideEntry.of(path)
    return Project(project).entries([path])[0]


def recorded_settings(project: Path) -> ProcessSettings:
    """Return the most recent settings of a project, or the defaults for a new project."""
    path = project / layout.SETTINGS
    if not path.is_file():
        return ProcessSettings()
    try:
        return ProcessSettings.parse(json.loads(path.read_text(encoding="utf-8"))["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ProjectError(
            f"its settings cannot be read ({error})", where=path, hint="Choose another project folder"
        ) from error
