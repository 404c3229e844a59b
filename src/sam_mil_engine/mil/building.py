"""Aggregators by name, with ``+groups`` after it. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..models.card import ModelCard
from ..models.registry import build, find, names
from ..settings import ModelSettings

if TYPE_CHECKING:
    from .aggregator import Aggregator


def resolve_name(settings: ModelSettings) -> ModelSettings:
    """Turn ``abmil+groups`` into the name ``abmil`` and the flag ``groups``: the only place that reads the syntax.

    Raises
    ------
    SettingsError
        If there is no such aggregator, or the name and the flag contradict each other.
    """
    return _look_up(settings)[1]


def aggregator_card(settings: ModelSettings) -> ModelCard:
    """Return the card that ``settings.name`` means; raises :class:`SettingsError` where there is none."""
    return _look_up(settings)[0]


def _look_up(settings: ModelSettings) -> tuple[ModelCard, ModelSettings]:
    """Card of the aggregator, and the settings without the syntax in the name."""
    name, plus, option = settings.name.partition("+")
    card = find("aggregator", name, error=SettingsError)
    if card is None or (plus and option != "groups"):
        raise SettingsError(
            f"there is no model {settings.name!r}",
            where="ModelSettings.name",
            hint=f"Choose one of: {', '.join(names('aggregator'))}; +groups after the name adds group tokens",
        )
    if not plus:
        return card, settings
    if settings.groups is False:
        raise SettingsError(f"{settings.name!r} asks for group tokens, groups=False refuses them")
    return card, settings.model_copy(update={"name": name, "groups": True})


def build_aggregator(settings: ModelSettings, *, dim: int, n_classes: int) -> Aggregator:
    """Build the aggregator called ``settings.name`` for D = ``dim`` and C = ``n_classes``, with fresh weights.

    Linear layers start from Xavier's normal distribution and zero bias, drawn from torch's global generator.

    Raises
    ------
    SettingsError
        If there is no such aggregator, or it cannot do what the settings ask.
    """
    from torch import nn

    card, settings = _look_up(settings)
    model: Aggregator = build(card, settings, error=SettingsError, dim=dim, n_classes=n_classes)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return model
