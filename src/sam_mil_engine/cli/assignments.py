"""Any setting from the command line: ``--set model.clam.instances=8``."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from ..errors import SettingsError
from ..settings import Settings


def setting_names(kind: type[Settings], *, prefix: str = "") -> list[str]:
    """Return the dotted name of every single setting of ``kind``."""
    names: list[str] = []
    for name, field in kind.model_fields.items():
        inner = next((one for one in (field.annotation, *get_args(field.annotation)) if _is_settings(one)), None)
        if inner is not None:
            names += setting_names(inner, prefix=f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def _is_settings(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Settings)


def merge(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return nested ``values`` with those of ``over`` in their places."""
    merged = _copy(values)
    for name, value in over.items():
        inner = merged.get(name)
        merged[name] = merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def assign(values: dict[str, Any], assignments: Sequence[str], kind: type[Settings]) -> dict[str, Any]:
    """Return nested ``values`` with each ``NAME=VALUE`` put in its place.

    A value is read as TOML (``0.5``, ``true``, ``["a", "b"]``); what is no TOML is text, so that ``sg2m`` needs no
    quotes.

    Raises
    ------
    SettingsError
        If there is no such setting: names that are near are told.
    """
    names = setting_names(kind)
    changed = _copy(values)
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
                f"there is no setting {name!r}" if equals else f"{text!r} sets nothing",
                where="--set",
                hint=f"Did you mean {shown}?" if shown else "Write NAME=VALUE; --help lists some names",
            )
        place = changed
        *path, last = name.split(".")
        for part in path:
            if place.get(part) is None:
                place[part] = {}
            place = place[part]
        place[last] = _value(value.strip())
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


def _copy(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _copy(value) if isinstance(value, dict) else value for name, value in values.items()}
