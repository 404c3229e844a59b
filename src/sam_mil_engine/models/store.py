"""Fetching, verifying, adding and removing models by the names of :mod:`.catalogue`."""

from __future__ import annotations

from pathlib import Path

from ..errors import EncoderError, ModelError, SamMilError, SegmentError, SettingsError
from ..files import atomic_path
from ..progress import Progress, ProgressCallback, silent
from .card import Kind, ModelCard
from .catalogue import Entry, catalogue, find_cards, find_entries
from .downloads import fetch, part_of
from .files import file_sha256
from .hub import cached_weights, fetch_repository, remove_repository, verify_repository
from .registry import build, cards, import_path, load_builder
from .segmenters import ADDED, CHECKPOINT_READER, added_folder

_BLOCK = 2**24
#: What a model of each kind raises where it cannot be loaded.
_ERRORS: dict[Kind, type[SamMilError]] = {
    "segmenter": SegmentError,
    "encoder": EncoderError,
    "aggregator": SettingsError,
    "classifier": ModelError,
}


def get(name: str, *, progress: ProgressCallback = silent) -> Path:
    """Fetch the weights of a model, unless they are here; return where they are.

    Raises
    ------
    ModelError, EncoderError
        If they cannot be had, or another file arrived.
    """
    card = _card(name)
    if card.repository:
        found = cached_weights(card.repository, card.library)
        return found or fetch_repository(card.repository, card.library, progress=progress)
    if card.file and card.source != ADDED:
        return _fetched(card, progress)
    if card.path is not None:
        return card.path
    raise ModelError(f"{name} needs no file of its own", hint="It can be used as it is")


def _fetched(card: ModelCard, progress: ProgressCallback) -> Path:
    """Download a weight file; one without a published checksum must at least be a SAM, or it is not kept."""
    path = fetch(card, progress=progress)
    if _only_its_shape_is_known(card):
        try:
            _sam_weights(path)
        except SegmentError:
            path.unlink()
            raise
    return path


def _only_its_shape_is_known(card: ModelCard) -> bool:
    return card.prompts and bool(card.file) and not card.sha256


def verify(name: str) -> str:
    """Read a model whole and compare it with what is known of it; say what was found.

    Raises
    ------
    SamMilError
        If it is missing, damaged, or another one.
    """
    return "; ".join(_verified(card) for card in _cards(name))


def _verified(card: ModelCard) -> str:
    if card.file and card.source != ADDED:
        path, digest = card.find(error=ModelError)
        known = f"the published file, SHA-256 {digest}"
        unknown = f"SHA-256 {digest}; no checksum is published to compare it with"
        return f"a SAM of {_sam_weights(path)}, {unknown}" if _only_its_shape_is_known(card) else known
    if card.repository:
        return f"as on the hub, SHA-256 {verify_repository(card.repository, card.library)}"
    if card.kind == "classifier":
        trained = build(card, card.folder, error=ModelError, device="cpu")
        return f"weights and description fit; classes {', '.join(trained.classes)}"
    if card.kind == "encoder":
        encoder = build(card, error=EncoderError, device="cpu", precision="float32")
        return f"loads, {encoder.dim} numbers per patch, SHA-256 {encoder.weights_sha256}"
    if card.path is not None:
        return f"a SAM of {_sam_weights(card.path)}, SHA-256 {file_sha256(card.path)}"
    load_builder(card, error=_ERRORS[card.kind])
    return "needs no weights"


def add(path: Path, *, name: str | None = None, progress: ProgressCallback = silent) -> Entry:
    """Copy a local weight file to its place.

    Parameters
    ----------
    path
        A published file, which is recognised by its checksum, or another SAM of Meta's shapes.
    name
        Its name. For a published model the file must be that one; for another SAM it is the name that it gets,
        by default that of the file.

    Raises
    ------
    ModelError, SegmentError
        If there is no such file, it is neither, or the name is taken.
    """
    if not path.is_file():
        raise ModelError("there is no such file", where=path, hint="Check the path")
    progress(Progress("add", 0, 0, unit="MB", message=f"reading {path.name}"))
    digest = file_sha256(path)
    published = {**cards("segmenter"), **cards("encoder")}
    match = next((card for card in published.values() if card.sha256 and digest.startswith(card.sha256)), None)
    if match is not None and name in (None, match.name):
        _copy(path, match.file_path, progress)
        part_of(match).unlink(missing_ok=True)
        return find_entries(match.name)[0]
    other = published.get(name or "")
    if other is not None and other.sha256:
        raise ModelError(
            f"the checksum is {digest[:16]}, that of {name!r} is {other.sha256[:16]}",
            where=path,
            hint=f"Fetch {other.source} again, or add it under another name with --as",
            window_hint=f"Fetch {other.source} again, or give the file another name and add it again",
        )
    if other is not None and _only_its_shape_is_known(other) and other.source != ADDED:
        _sam_weights(path)
        _copy(path, other.file_path, progress)
        return find_entries(other.name)[0]
    chosen = name or path.stem
    _refuse_taken(chosen, path)
    _sam_weights(path)
    _copy(path, added_folder() / f"{chosen}.pth", progress)
    return find_entries(chosen)[0]


def remove(name: str) -> int:
    """Delete the file of a fetched or added model, and what an unfinished download left; return the bytes freed.

    Raises
    ------
    ModelError
        If it is not on this machine, or belongs to an installed package.
    """
    card = _card(name)
    if card.repository:
        doomed = []
        if freed := remove_repository(card.repository):
            return freed
    elif card.file:
        doomed = [path for path in (card.file_path, part_of(card)) if path.is_file()]
    else:
        raise ModelError(f"{name} {card.source}", hint="Only what was fetched or added can be removed")
    if not doomed:
        raise ModelError(f"{name} is not on this machine", where=card.path, hint="There is nothing to remove")
    freed = sum(path.stat().st_size for path in doomed)
    for path in doomed:
        path.unlink()
    return freed


def _card(name: str) -> ModelCard:
    """Card of that name, of several the one that has weights of its own."""
    found = _cards(name)
    return next((card for card in found if card.file or card.repository), found[0])


def _cards(name: str) -> list[ModelCard]:
    found = find_cards(name)
    if not found:
        raise ModelError(find_entries(name)[0].problem, hint="Install a version that fits, or remove the package")
    return found


def _refuse_taken(name: str, path: Path) -> None:
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name == "auto":
        raise ModelError(
            f"{name!r} cannot be the name of a model",
            hint="Use letters, digits, - and _ (--as NAME)",
            window_hint="Rename the file: its name may have letters, digits, - and _",
        )
    if name in {entry.name for entry in catalogue()}:
        raise ModelError(
            f"there is already a model {name!r}", where=path, hint="Remove that one first, or choose another name"
        )


def _sam_weights(path: Path) -> str:
    try:
        sam = import_path(CHECKPOINT_READER)(path, device="cpu")
    except SegmentError as error:
        raise SegmentError(
            f"it is neither a published file nor a SAM: {error.what}",
            where=path,
            hint=error.hint,
            window_hint=error.window_hint,
        ) from error
    return f"{sum(weight.numel() for weight in sam.parameters()) / 1e6:.0f} million weights"


def _copy(source: Path, target: Path, progress: ProgressCallback) -> None:
    if target.exists() and target.samefile(source):
        return
    total = source.stat().st_size
    with atomic_path(target) as temporary, source.open("rb") as reader, temporary.open("wb") as writer:
        while block := reader.read(_BLOCK):
            writer.write(block)
            progress(
                Progress("add", round(writer.tell() / 1e6), round(total / 1e6), unit="MB", message=target.name)
            )
