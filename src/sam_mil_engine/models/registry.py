"""The one registry: every model by kind and name, of this package and of others. Imports a method when it is used.

Another package adds a method by an entry point in the group of its kind (:data:`GROUPS`): the entry point has the
name of the method and names a :class:`~.card.ModelCard`, a function that returns one, or for a classifier the path
of its folder.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from .. import layout
from ..errors import SamMilError
from .aggregators import AGGREGATORS
from .card import KINDS, PACKAGED, Kind, ModelCard
from .classifiers import bundled_classifiers, classifier_card
from .encoders import ENCODERS
from .segmenters import SEGMENTERS, added_sams

#: Groups of entry points: ``sam_mil_engine.encoders`` and so on.
GROUPS: dict[Kind, str] = {kind: f"sam_mil_engine.{kind}s" for kind in KINDS}


@dataclass(frozen=True, slots=True)
class BrokenMethod:
    """A method of another package that cannot be used, and why."""

    kind: Kind
    name: str
    package: str
    reason: str

    def __str__(self) -> str:
        return f"the {self.kind} {self.name!r} of the package {self.package} cannot be used: {self.reason}"


def bundled(kind: Kind) -> Mapping[str, ModelCard]:
    """Cards of what comes with this package, by name."""
    if kind == "classifier":
        return bundled_classifiers()
    return {"segmenter": SEGMENTERS, "encoder": ENCODERS, "aggregator": AGGREGATORS}[kind]


def names(kind: Kind) -> list[str]:
    """Names of all methods of a kind; imports none of them. Encoders of pathology on the hub are left out."""
    own = bundled(kind)
    return [name for name, card in own.items() if not (card.repository or card.elsewhere)] + [
        point.name for point in _entry_points(kind, tuple(sys.path)) if point.name not in own
    ]


def cards(kind: Kind) -> dict[str, ModelCard]:
    """Cards of all methods of a kind by name: of this package, of other packages, and SAMs that the user added."""
    found = {**bundled(kind), **_of_packages(kind)[0]}
    added = added_sams() if kind == "segmenter" else {}
    return {**found, **{name: card for name, card in added.items() if name not in found}}


def available(kind: Kind) -> list[ModelCard]:
    """Cards of what a person may choose: not gated encoders that are not here, nor SAMs that lack a package."""
    return [
        card
        for card in cards(kind).values()
        if not card.elsewhere and not (card.prompts and card.missing_package) and (not card.gated or card.on_disk)
    ]


def broken(kind: Kind) -> list[BrokenMethod]:
    """Methods of other packages that cannot be used; the rest can."""
    return _of_packages(kind)[1]


def find(kind: Kind, name: str, *, error: type[SamMilError]) -> ModelCard | None:
    """Return the card called ``name``, also by another of its names, or None where there is none.

    Raises
    ------
    SamMilError
        Of the given class, if there is one of another package that cannot be used.
    """
    own = bundled(kind)
    if name in own:
        return own[name]
    for card in own.values():
        if name in card.aliases:
            return card
    for one in broken(kind):
        if one.name == name:
            raise error(str(one), hint=f"Install a version of {one.package} that fits, or remove the package")
    return cards(kind).get(name)


def load_builder(card: ModelCard, *, error: type[SamMilError]) -> Any:
    """Import what builds a model.

    Raises
    ------
    SamMilError
        Of the given class, if the module cannot be imported or has no such function.
    """
    try:
        return import_path(card.builder)
    except (ImportError, AttributeError) as problem:
        raise error(
            f"the {card.kind} {card.name!r} cannot be loaded: {problem}",
            where=card.builder,
            hint=f"Install what it needs: {card.install_command if card.needs else card.source}",
        ) from problem


def import_path(path: str) -> Any:
    """Import ``module:name``; raises ImportError or AttributeError where there is none."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def build(card: ModelCard, *arguments: object, error: type[SamMilError], **given: object) -> Any:
    """Call the builder of a card with what its kind is given and with its options (:class:`~.card.ModelCard`).

    Raises
    ------
    SamMilError
        Of the given class, if the builder cannot be imported; what the builder itself raises is passed on.
    """
    if card.elsewhere:
        raise error(f"the {card.kind} {card.name!r} cannot be loaded here", where=card.source, hint=card.elsewhere)
    return load_builder(card, error=error)(*arguments, **given, **card.options)


def _of_packages(kind: Kind) -> tuple[dict[str, ModelCard], list[BrokenMethod]]:
    return _load_all(kind, tuple(sys.path))


@cache
def _load_all(kind: Kind, path: tuple[str, ...]) -> tuple[dict[str, ModelCard], list[BrokenMethod]]:
    """Load the cards of other packages; one that fails is reported and does not stop the others."""
    found: dict[str, ModelCard] = {}
    failed: list[BrokenMethod] = []
    for point in _entry_points(kind, path):
        package = point.dist.name if point.dist is not None else "unknown"
        taken = PACKAGED if point.name in bundled(kind) else found[point.name].source if point.name in found else ""
        try:
            if taken:
                raise ValueError(f"there is a {kind} with this name already, which {taken}")
            found[point.name] = _card(kind, point, package)
        except Exception as error:  # noqa: BLE001  (other people's code may raise anything)
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            failed.append(BrokenMethod(kind=kind, name=point.name, package=package, reason=reason))
    return found, failed


@cache
def _entry_points(kind: Kind, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Entry points that are found on ``path``, which is ``sys.path``: another path is searched again."""
    del path
    return tuple(entry_points(group=GROUPS[kind]))


def _card(kind: Kind, point: EntryPoint, package: str) -> ModelCard:
    """Load the card that an entry point names; raises ValueError where it is not one of this kind and name."""
    source = f"comes with the package {package}"
    card = point.load()
    if callable(card):
        card = card()
    if kind == "classifier" and isinstance(card, str | Path):
        card = classifier_card(Path(card), name=point.name, source=source)
    if not isinstance(card, ModelCard):
        raise ValueError(f"{point.value} is not a ModelCard but {type(card).__name__}")
    if (card.kind, card.name) != (kind, point.name):
        raise ValueError(f"its card is of the {card.kind} {card.name!r}; give the entry point the name of the card")
    if kind == "classifier" and not (card.folder is not None and (card.folder / layout.MODEL).is_file()):
        raise ValueError(f"its folder {card.folder} holds no model")
    return replace(card, source=source) if card.source == PACKAGED else card
