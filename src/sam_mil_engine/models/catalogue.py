"""All models in one list: what they are, where they come from, and whether they are on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError
from .card import KINDS, PACKAGED, Kind, ModelCard
from .hub import PREFIX
from .hub_cards import any_timm_card
from .registry import BrokenMethod, broken, cards
from .segmenters import ADDED
from .suggestions import suggestion


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model.

    Attributes
    ----------
    role, name, what, licence, citation
        What it is; the role is the kind of its card.
    source
        Address that it comes from, or a word on where it comes from.
    size, sha256
        In words: the size is marked where it is approximate, the checksum where only its first digits are known.
    on_disk
        Whether it can be used now.
    path
        Where it is kept, or would be; None where it is in no file of its own, or the hub's cache lacks it.
    needs
        Package that is missing for it, or nothing.
    gated, elsewhere, mpp, input_size, dim, normalisation
        As :class:`~.card.ModelCard` has them.
    problem
        Why a method of another package cannot be used, or nothing.
    """

    role: Kind
    name: str
    what: str
    licence: str = ""
    citation: str = ""
    source: str
    size: str = ""
    sha256: str = ""
    on_disk: bool = False
    path: Path | None = None
    needs: str = ""
    gated: bool = False
    elsewhere: str = ""
    mpp: float | None = None
    input_size: int | None = None
    dim: int | None = None
    normalisation: str = ""
    problem: str = ""


def catalogue(kinds: Sequence[Kind] = KINDS) -> list[Entry]:
    """All models of these kinds, also gated encoders on the hub; what comes with this package first."""
    entries: list[Entry] = []
    for kind in kinds:
        found = [entry_of(card) for card in cards(kind).values() if not card.is_family]
        entries += sorted(found, key=lambda entry: entry.source != PACKAGED)
        entries += [_of_broken(method) for method in broken(kind)]
    return entries


def find_cards(name: str) -> list[ModelCard]:
    """Return the cards of what is called ``name``, at most one of each kind; any ``hf:OWNER/NAME`` has one."""
    found = [
        card
        for kind in KINDS
        for card in cards(kind).values()
        if name in (card.name, *card.aliases) and not card.is_family
    ]
    if not found and name.startswith(PREFIX) and name.count("/") == 1:
        found.append(any_timm_card(name.removeprefix(PREFIX)))
    return found


def find_entries(name: str) -> list[Entry]:
    """Return the entries called ``name``, at most one of each kind; any ``hf:OWNER/NAME`` is one.

    Raises
    ------
    ModelError
        If there is none.
    """
    found = [entry_of(card) for card in find_cards(name)]
    if not found:
        listed = catalogue()
        found = [entry for entry in listed if entry.name == name]
        if not found:
            suggested = suggestion(name, [entry.name for entry in listed])
            raise ModelError(
                f"there is no model {name!r}",
                hint=f"{suggested}`sam-mil-engine models` lists all of them, besides hf:OWNER/NAME",
                window_hint=f"{suggested}The Models dock lists all of them, besides hf:OWNER/NAME",
            )
    return found


def entry_of(card: ModelCard) -> Entry:
    """Return the entry of a model on this machine."""
    path, size = card.path, card.size_text
    checksum = card.checksum_text if card.file and card.source != ADDED else ""
    if card.repository:
        size = "" if path is None else f"{path.stat().st_size:,} bytes"
        checksum = "given by the hub when it is fetched"
    elif card.folder is not None:
        checksum = "in model.json, checked whenever it is loaded"
    return Entry(
        role=card.kind,
        name=card.name,
        what=card.what,
        licence=card.licence,
        citation=card.citation,
        source=card.source,
        size=size,
        sha256=checksum,
        on_disk=card.on_disk,
        path=path,
        needs=card.missing_package,
        gated=card.gated,
        elsewhere=card.elsewhere,
        mpp=card.mpp,
        input_size=card.input_size,
        dim=card.dim,
        normalisation=card.normalisation,
    )


def _of_broken(method: BrokenMethod) -> Entry:
    return Entry(
        role=method.kind,
        name=method.name,
        what=f"cannot be used: {method.reason}",
        source=f"comes with the package {method.package}",
        problem=str(method),
    )
