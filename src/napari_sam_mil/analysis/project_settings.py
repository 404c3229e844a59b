"""The settings of a project."""

from __future__ import annotations

from pathlib import Path

from sam_mil_engine.process import recorded
from sam_mil_engine.settings import ProcessSettings


def recorded_settings(project: Path) -> ProcessSettings:
    """Return the most recent settings of a project, or the defaults for a new project."""
    return recorded.recorded_settings(project) or ProcessSettings()
