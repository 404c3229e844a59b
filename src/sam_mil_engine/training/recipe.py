"""The settings that a training really has: what was set, else recipe, protocol, defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from .. import layout
from ..errors import SettingsError
from ..mil.building import aggregator_card, resolve_name
from ..models.recipes import Recipe
from ..progress import ProgressCallback, notice, silent
from ..settings import ModelSettings, TrainSettings


def resolve(
    settings: TrainSettings,
    *,
    protocol: Mapping[str, object] | None = None,
    progress: ProgressCallback = silent,
) -> TrainSettings:
    """Fill in what was not set explicitly, and resolve the model's name.

    Parameters
    ----------
    settings
        Fields that were set win over everything else.
    protocol
        Fields that a protocol sets; the model's recipe (``ModelCard.recipe``), where ``settings.recipe`` is
        ``paper``, wins over them.
    progress
        Told where the model has no recipe of its own.

    Raises
    ------
    SettingsError
        If there is no such model, or its recipe names a field that does not exist.
    """
    model = resolve_name(settings.model)
    filled = dict(protocol or {})
    if settings.recipe == "paper" and (recipe := _recipe_of(settings, progress)) is not None:
        filled |= recipe.settings
        own = {name: value for name, value in recipe.model.items() if name not in settings.model.model_fields_set}
        model = ModelSettings.parse({**model.model_dump(exclude_unset=True), **own})
    missing = {name: value for name, value in filled.items() if name not in settings.model_fields_set}
    return TrainSettings.parse(
        {**{name: getattr(settings, name) for name in settings.model_fields_set}, **missing, "model": model}
    )


def _recipe_of(settings: TrainSettings, progress: ProgressCallback) -> Recipe | None:
    card = aggregator_card(settings.model)
    if card.recipe is None:
        progress(notice("train", f"{card.name} has no recipe of its own: the shared recipe is used"))
        return None
    known = {*TrainSettings.model_fields, *ModelSettings.model_fields}
    unknown = sorted({*card.recipe.settings, *card.recipe.model} - known)
    if unknown:
        raise SettingsError(f"the recipe of {card.name!r} sets unknown fields: {', '.join(unknown)}")
    return card.recipe


def with_saved_recipe(settings: TrainSettings, run: Path) -> TrainSettings:
    """Return the settings with the recipe of the run in this folder, unless one was set."""
    saved = saved_recipe(run)
    if saved is None or "recipe" in settings.model_fields_set:
        return settings
    return TrainSettings.parse({**settings.model_dump(exclude_unset=True), "recipe": saved})


def saved_recipe(run: Path) -> str | None:
    """Return the recipe of the run in this folder; None where there is no run, or one of an earlier version."""
    try:
        return str(json.loads((run / layout.SETTINGS).read_text(encoding="utf-8"))["train"]["recipe"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
