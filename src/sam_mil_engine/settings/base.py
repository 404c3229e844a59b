"""What all settings have in common: frozen, strict about names, with a key that changes with any value."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from ..errors import SettingsError


class Settings(BaseModel):
    """Base of all settings: frozen, unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Build from keyword values, leaving out ``None``; raises :class:`SettingsError` on a bad one."""
        return cls.parse({name: value for name, value in values.items() if value is not None})

    @classmethod
    def parse(cls, values: object) -> Self:
        """Build from nested dictionaries (JSON, TOML); raises :class:`SettingsError` naming each bad value."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError("; ".join(_said(item) for item in error.errors())) from error


def _said(item: ErrorDetails) -> str:
    """Return the name of the setting and what is wrong; a rule for several settings names them itself."""
    what = item["msg"].removeprefix("Value error, ")
    return ": ".join(filter(None, (".".join(map(str, item["loc"])), what)))


def key(*parts: object) -> str:
    """Twelve hexadecimal digits that change when any part (settings, strings, numbers) changes."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def setting(default: Any, title: str, text: str, *, unit: str = "", **limits: Any) -> Any:
    """Return the field of a setting with everything that the user is told about it.

    Parameters
    ----------
    default
        The only place where it stands.
    title
        What a form calls it.
    text
        A sentence or two: what it does.
    unit
        Of the value, for example ``µm per pixel``.
    limits
        Of pydantic's ``Field``: ``ge``, ``le``, ``gt``, ``lt``, ``min_length``.
    """
    return Field(default, title=title, description=text, json_schema_extra={"unit": unit}, **limits)
