"""Settings by their dotted names, for the command line (``--set model.clam.instances=8``), files and forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from .base import Settings
from .process import ProcessSettings, tissue_preset


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, for whoever lists or shows it.

    Attributes
    ----------
    name
        Dotted, as ``segments.pred_iou_thresh``.
    title, text, unit
        What a form calls it, what it does, and the unit of its value (may be empty).
    default
        Its default.
    annotation
        Its type.
    limits
        Of a number: ``ge``, ``gt``, ``le``, ``lt`` -> value.
    """

    name: str
    title: str
    text: str
    unit: str
    default: Any
    annotation: Any
    limits: Mapping[str, float]


def settings_of(kind: type[Settings], *, prefix: str = "") -> Iterator[Setting]:
    """Yield every single setting of ``kind``, in the order in which it is written."""
    for name, field in kind.model_fields.items():
        inner = next((one for one in (field.annotation, *get_args(field.annotation)) if _is_settings(one)), None)
        if inner is not None:
            yield from settings_of(inner, prefix=f"{prefix}{name}.")
            continue
        extra = field.json_schema_extra
        yield Setting(
            name=prefix + name,
            title=field.title or name,
            text=field.description or "",
            unit=str(extra.get("unit", "")) if isinstance(extra, dict) else "",
            default=field.default,
            annotation=field.annotation,
            limits={
                bound: getattr(one, bound)
                for one in field.metadata
                for bound in ("ge", "gt", "le", "lt")
                if hasattr(one, bound)
            },
        )


def setting_names(kind: type[Settings]) -> list[str]:
    """Return the dotted name of every single setting of ``kind``."""
    return [one.name for one in settings_of(kind)]


def value_of(settings: Settings, name: str) -> Any:
    """Return the value that a dotted name has; tissue settings that follow the preset are those of the preset."""
    found: Any = settings
    for part in name.split("."):
        tissue = part == "tissue" and isinstance(found, ProcessSettings)
        found = found.resolved_tissue if tissue else getattr(found, part)
    return found


def with_changes(settings: ProcessSettings, changes: Mapping[str, Any]) -> ProcessSettings:
    """Return the settings of preprocessing with other values, by dotted names.

    Raises
    ------
    SettingsError
        Naming each value that is unknown or out of range.
    """
    values = settings.model_dump(exclude_unset=True)
    for name, value in changes.items():
        put(values, name, value)
    return complete(values)


def complete(values: Mapping[str, Any]) -> ProcessSettings:
    """Build the settings of preprocessing; tissue settings that are not given are those of the preset.

    Raises
    ------
    SettingsError
        Naming each value that is unknown or out of range.
    """
    merged = dict(values)
    if merged.get("tissue") is not None:
        preset = tissue_preset(str(merged.get("preset", ProcessSettings().preset)))
        merged["tissue"] = merge(preset.model_dump(), merged["tissue"])
    settings = ProcessSettings.parse(merged)
    settings.resolved_tissue  # noqa: B018  (an unknown preset is refused here, before any slide is opened)
    return settings


def with_preset(settings: ProcessSettings, preset: str) -> ProcessSettings:
    """Return the settings of preprocessing with another tissue preset; what differs from the old one stays."""
    tissue = settings.tissue
    if tissue is not None:
        own, old = tissue.model_dump(), tissue_preset(settings.preset).model_dump()
        own = {name: value for name, value in own.items() if value != old[name]}
        tissue = tissue_preset(preset).model_copy(update=own)
    return settings.model_copy(update={"preset": preset, "tissue": tissue})


def put(values: dict[str, Any], name: str, value: object) -> None:
    """Set the value of a dotted name in nested ``values``."""
    *path, last = name.split(".")
    for part in path:
        if values.get(part) is None:
            values[part] = {}
        values = values[part]
    values[last] = value


def _is_settings(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Settings)


def merge(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return nested ``values`` with those of ``over`` in their places."""
    merged = copied(values)
    for name, value in over.items():
        inner = merged.get(name)
        merged[name] = merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def copied(values: dict[str, Any]) -> dict[str, Any]:
    """Return nested ``values`` that can be changed without changing the given ones."""
    return {name: copied(value) if isinstance(value, dict) else value for name, value in values.items()}
