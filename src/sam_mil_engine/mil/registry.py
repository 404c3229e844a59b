"""The aggregators by name. A new one is a class in its own file and one line here. Does not import torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..settings import ModelSettings

if TYPE_CHECKING:
    from .aggregator import Aggregator

#: Name -> ``module:class`` of a subclass of :class:`~sam_mil_engine.mil.aggregator.Aggregator`.
AGGREGATORS: dict[str, str] = {
    "max": "sam_mil_engine.mil.pooling:MaxPooling",
    "mean": "sam_mil_engine.mil.pooling:MeanPooling",
    "abmil": "sam_mil_engine.mil.abmil:AbMil",
    "dsmil": "sam_mil_engine.mil.dsmil:DsMil",
    "clam-sb": "sam_mil_engine.mil.clam:ClamSb",
    "clam-mb": "sam_mil_engine.mil.clam:ClamMb",
    "transmil": "sam_mil_engine.mil.transmil:TransMil",
    "dtfd": "sam_mil_engine.mil.dtfd:Dtfd",
    "ibmil": "sam_mil_engine.mil.ibmil:IbMil",
    "mhim": "sam_mil_engine.mil.mhim:Mhim",
    "srmil": "sam_mil_engine.mil.srmil:SrMil",
    "sam-mil": "sam_mil_engine.mil.sam_mil:SamMil",
}


def aggregator_names() -> tuple[str, ...]:
    """Return the names that :func:`build_aggregator` knows; most also take ``+groups`` behind."""
    return tuple(AGGREGATORS)


def resolve_name(settings: ModelSettings) -> ModelSettings:
    """Turn ``abmil+groups`` into the name ``abmil`` and the flag ``groups``: the only place that reads the syntax.

    Raises
    ------
    SettingsError
        If there is no such aggregator, or the name and the flag contradict each other.
    """
    name, plus, option = settings.name.partition("+")
    if name not in AGGREGATORS or (plus and option != "groups"):
        raise SettingsError(
            f"there is no model {settings.name!r}",
            where="ModelSettings.name",
            hint=f"Choose one of: {', '.join(AGGREGATORS)}; +groups behind the name adds group tokens",
        )
    if not plus:
        return settings
    if settings.groups is False:
        raise SettingsError(f"{settings.name!r} asks for group tokens, groups=False refuses them")
    return settings.model_copy(update={"name": name, "groups": True})


def aggregator_class(settings: ModelSettings) -> type[Aggregator]:
    """Return the class that ``settings.name`` means; raises :class:`SettingsError` where there is none."""
    module, _, kind = AGGREGATORS[resolve_name(settings).name].partition(":")
    found: type[Aggregator] = getattr(import_module(module), kind)
    return found


def build_aggregator(settings: ModelSettings, *, dim: int, n_classes: int) -> Aggregator:
    """Build the aggregator called ``settings.name`` for D = ``dim`` and C = ``n_classes``, with fresh weights.

    Linear layers start from Xavier's normal distribution and zero bias, drawn from torch's global generator.

    Raises
    ------
    SettingsError
        If there is no such aggregator, or it cannot do what the settings ask.
    """
    from torch import nn

    settings = resolve_name(settings)
    model = aggregator_class(settings)(settings, dim=dim, n_classes=n_classes)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return model
