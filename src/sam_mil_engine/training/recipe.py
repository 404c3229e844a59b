"""The settings that a training really has: what was set, else what the model's paper says, else the default."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import SettingsError
from ..mil.building import aggregator_class, resolve_name
from ..settings import TrainSettings


def resolve(settings: TrainSettings, *, protocol: Mapping[str, object] | None = None) -> TrainSettings:
    """Fill in what was not set explicitly, and resolve the model's name.

    Parameters
    ----------
    settings
        Fields that were set win over everything else.
    protocol
        Fields that a protocol sets; the model's own recipe (``Aggregator.recipe``) wins over them.

    Raises
    ------
    SettingsError
        If there is no such model, or its recipe names a field that does not exist.
    """
    model = resolve_name(settings.model)
    recipe = aggregator_class(model).recipe
    unknown = sorted(set(recipe) - set(TrainSettings.model_fields))
    if unknown:
        raise SettingsError(f"the recipe of {model.name!r} sets unknown fields: {', '.join(unknown)}")
    filled = {**(protocol or {}), **recipe}
    missing = {name: value for name, value in filled.items() if name not in settings.model_fields_set}
    return TrainSettings.parse(
        {**{name: getattr(settings, name) for name in settings.model_fields_set}, **missing, "model": model}
    )
