"""Whether a model can be used: its package, its weights here, a token, and the authors' consent. And what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ..errors import EncoderError, one_line
from .card import ModelCard
from .catalogue import find_cards
from .offline import OFFLINE_VARIABLES, is_offline

#: Where a token is made.
TOKENS = "https://huggingface.co/settings/tokens"
State = Literal["ready", "download", "fetch", "install", "log in", "accept", "unknown", "elsewhere"]
#: States in which a run can begin: what is missing is downloaded by it.
_CAN_RUN: frozenset[State] = frozenset({"ready", "download"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What was found about one model.

    Attributes
    ----------
    name, licence, source, gated
        As its card has them.
    state
        ``ready``: it can be used now. ``download``: a run downloads it. ``fetch``: it must be fetched before.
        ``install``: a package is missing.
        ``log in``: it is gated, and there is no token. ``accept``: there is a token, whose owner has no access yet.
        ``unknown``: the hub could not be asked. ``elsewhere``: this package cannot build it.
    package
        The package that it needs and that is missing, or nothing.
    token
        Whether the hub's token is on this computer; None where none is needed.
    cached
        Where its weights are on this computer, or None.
    found, advice, window_advice
        What was found; what to do next, on the command line and in the window (empty where nothing is to be done).
    """

    name: str
    licence: str
    source: str
    gated: bool
    state: State
    package: str = ""
    token: bool | None = None
    cached: Path | None = None
    found: str
    advice: str = ""
    window_advice: str = ""

    @property
    def can_run(self) -> bool:
        """Whether a run can begin."""
        return self.state in _CAN_RUN


def check_access(card: ModelCard) -> Access:
    """Find out whether a model can be used. Asks the hub where its weights are there and not on this computer."""
    from huggingface_hub import get_token

    cached = card.path if card.path is not None and card.path.exists() else None
    token = (get_token() is not None) if card.repository and card.gated else None
    finding = _find(card, cached)
    return Access(
        name=card.name,
        licence=card.licence,
        source=card.source,
        gated=card.gated,
        state=finding.state,
        package=card.missing_package,
        token=token,
        cached=cached,
        found=finding.found,
        advice=finding.advice,
        window_advice=finding.window_advice or finding.advice,
    )


def require_access(names: Iterable[str]) -> None:
    """Refuse encoders that a run could not load. Asks the hub only for weights that are not on this computer.

    Names that no card describes whole (``timm:NAME``, ``resnet50:PATH``) are passed over: loading them says more.

    Raises
    ------
    EncoderError
        Naming the first that cannot be used, and what to do.
    """
    for name in names:
        for card in find_cards(name):
            if card.kind != "encoder" or card.on_disk:
                continue
            access = check_access(card)
            if not access.can_run:
                raise EncoderError(
                    f"the encoder {name!r} cannot be used: {access.found}",
                    where=access.source,
                    hint=access.advice,
                    window_hint=access.window_advice,
                )


class _Finding(NamedTuple):
    """State, what was found, and what to do on the command line and, where that differs, in the window."""

    state: State
    found: str
    advice: str = ""
    window_advice: str = ""


def _find(card: ModelCard, cached: Path | None) -> _Finding:
    if card.elsewhere:
        return _Finding("elsewhere", "this package cannot build it", card.elsewhere)
    if card.missing_package:
        return _Finding(
            "install",
            f"the package {card.missing_package} is not installed",
            card.install_command,
            window_advice=f"Install the Python package {card.package} in napari's environment, and restart napari",
        )
    if cached is not None or not (card.repository or card.file):
        return _Finding("ready", "it is on this computer")
    if is_offline():
        fetched = f"`hf download {card.repository}`" if card.repository else f"download {card.source}"
        return _Finding(
            "unknown",
            f"its weights are not here, and the network is turned off ({' or '.join(OFFLINE_VARIABLES)})",
            f"Turn the network on; or {fetched} on another computer, and copy it here",
            window_advice="Turn the network on, or copy the weights from a computer that has them",
        )
    if not card.repository:
        get = f"sam-mil-engine models get {card.name}"
        window = "Fetch it in the Models dock"
        return _Finding("fetch", "its weights are not on this computer", get, window_advice=window)
    return _ask_hub(card)


def _ask_hub(card: ModelCard) -> _Finding:
    from huggingface_hub import auth_check, get_token
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    accept = f"open {card.source}, log in, and click “Agree and access repository” (or “Request access”)"
    token = f"make a token at {TOKENS} (type Read)"
    if card.gated and get_token() is None:
        return _Finding(
            "log in",
            "its authors ask who downloads it, and there is no token of the Hugging Face hub on this computer",
            f"First {accept}. Then {token}, and run `hf auth login`",
            window_advice=f"First {accept}. Then {token}, and log in to the Hugging Face hub on this computer",
        )
    try:
        auth_check(card.repository)
    except GatedRepoError:
        return _Finding(
            "accept",
            "the owner of the token on this computer has no access to it yet",
            f"Please {accept}. Some authors answer within minutes, others after days",
        )
    except RepositoryNotFoundError:
        return _Finding(
            "unknown",
            f"the hub has no repository {card.repository!r} for you",
            "Check the name; a private repository needs a token whose owner may read it",
        )
    except Exception as error:  # noqa: BLE001  (the HTTP client of the hub raises classes with no common base)
        reason = one_line(error)[:200]
        return _Finding("unknown", f"the hub could not be asked ({reason})", "Check the network and try again")
    return _Finding(
        "download",
        "you have access; it is not on this computer yet",
        f"sam-mil-engine models get {card.name}; or begin: a run downloads it",
        window_advice="Press Fetch; or begin: it is downloaded when it is first used",
    )
