"""The settings of a project."""

from __future__ import annotations

import json
from pathlib import Path

from sam_mil_engine import layout
from sam_mil_engine.errors import ProjectError
from sam_mil_engine.settings import ProcessSettings


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
