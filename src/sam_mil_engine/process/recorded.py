"""The settings that a project was made with: a project that exists goes on with its segments."""

from __future__ import annotations

import json
from pathlib import Path

from .. import layout
from ..errors import ProjectError
from ..models.segmenters import largest_of_metas
from ..settings import ProcessSettings

#: What ``auto`` meant without a SAM in the former formats of ``settings.json``; the first had no number.
_FORMER_AUTOMATIC = {1: "regions", 2: "stain-regions"}


def recorded_settings(project: Path) -> ProcessSettings | None:
    """Return the most recent settings of a project; None where it has none yet.

    ``auto`` of a project from before a change of the default is read as what it meant then, so that its next slides
    get the segments of the others.

    Raises
    ------
    ProjectError
        If the file cannot be read.
    """
    path = project / layout.SETTINGS
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        settings = ProcessSettings.parse(found["settings"])
        former = _FORMER_AUTOMATIC.get(found.get("format", 1))
    except (ValueError, KeyError, TypeError) as error:
        raise ProjectError(
            f"its settings cannot be read ({error})", where=path, hint="Choose another project folder"
        ) from error
    if former is None or settings.segments.segmenter != "auto":
        return settings
    meant = settings.segments.model_copy(update={"segmenter": largest_of_metas() or former})
    return settings.model_copy(update={"segments": meant})


def with_recorded_segments(settings: ProcessSettings, project: str | Path) -> ProcessSettings:
    """Return the settings with those of the project's segments where the caller set no other segmenter.

    A caller who sets the segmenter that the project has, or none, changes only what is set; one who sets another
    gets the defaults of that one.
    """
    recorded, asked = recorded_settings(Path(project)), settings.segments
    if recorded is None:
        return settings
    given = {name: getattr(asked, name) for name in asked.model_fields_set}
    if given.get("segmenter", recorded.segments.segmenter) != recorded.segments.segmenter:
        return settings
    return settings.model_copy(update={"segments": recorded.segments.model_copy(update=given)})
