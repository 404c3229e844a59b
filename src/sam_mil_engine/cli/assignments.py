"""Settings as they are typed: ``--set model.clam.instances=8`` and ``--config FILE.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from ..settings import Settings
from ..settings.changes import copied, put, setting_names


def assign(values: dict[str, Any], assignments: Sequence[str], kind: type[Settings]) -> dict[str, Any]:
    """Return nested ``values`` with each ``NAME=VALUE`` put in its place.

    A value is read as TOML (``0.5``, ``true``, ``["a", "b"]``); what is not TOML is text, so that ``sg2m`` needs no
    quotes.

    Raises
    ------
    SettingsError
        If there is no such setting: similar names are suggested.
    """
    names = setting_names(kind)
    changed = copied(values)
    for text in assignments:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or name not in names:
            near = get_close_matches(name, names, 3, 0.6) or [
                known for known in names if known.rpartition(".")[2] == name.rpartition(".")[2]
            ]
            groups = [known for known in names if known.startswith(f"{name}.")]
            shown = ", ".join(near or groups[:10])
            raise SettingsError(
                f"there is no setting {name!r}" if equals else f"{text!r} is not an assignment",
                where="--set",
                hint=f"Did you mean {shown}?" if shown else "Write NAME=VALUE; see `sam-mil-engine settings`",
            )
        put(changed, name, _value(value.strip()))
    return changed


def read_config(path: Path | None) -> dict[str, Any]:
    """Read settings from a TOML file; raises :class:`SettingsError` where that fails. None is no setting."""
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"the settings cannot be read ({error})", where=path) from error


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
