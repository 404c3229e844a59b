"""``sam-mil-engine settings``."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import SettingsError
from ..settings import ProcessSettings, TrainSettings
from ..settings.changes import Setting, settings_of
from .console import print_json, print_table
from .options import Json


def command(
    part: Annotated[
        str, typer.Argument(help="Only settings whose name contains it, for example segments.", metavar="[PART]")
    ] = "",
    json: Json = False,
) -> None:
    """List every setting with default, unit and meaning: the names that --set and --config take.

    Settings of process, group and predict first, then those of train and cross-validate.

    Example:  sam-mil-engine settings segments
    """
    found = {
        title: [one for one in settings_of(kind) if part.lower() in one.name.lower()]
        for title, kind in (("Processing", ProcessSettings), ("Training", TrainSettings))
    }
    if not any(found.values()):
        raise SettingsError(f"no setting contains {part!r}", hint="Run it without a name to list all settings")
    if json:
        print_json({title.lower(): [_row(one) for one in listed] for title, listed in found.items()})
        return
    for title, listed in found.items():
        print_table([_row(one) for one in listed], title=title)


def _row(one: Setting) -> dict[str, object]:
    return {"setting": one.name, "default": str(one.default), "unit": one.unit, "meaning": one.text}
