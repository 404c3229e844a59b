"""Fetching, verifying, adding and removing models by the names of :mod:`.model_catalogue`."""

from __future__ import annotations

from pathlib import Path

from ..downloads import fetch, part_of
from ..errors import ModelError, SegmentError
from ..features.hub import PREFIX, cached_weights, fetch_repository, remove_repository, verify_repository
from ..features.registry import encoder_files
from ..files import atomic_path
from ..model_files import ModelFile, file_sha256
from ..progress import Progress, ProgressCallback, silent
from ..segment.published import added_folder, added_sams, sam_files
from .model_catalogue import Entry, catalogue, find_entry

_BLOCK = 2**24


def get(name: str, *, progress: ProgressCallback = silent) -> Path:
    """Fetch the weights of a model, unless they are here; return where they are.

    Raises
    ------
    ModelError, EncoderError
        If they cannot be had, or another file arrived.
    """
    file = _file(name)
    if file is not None:
        return fetch(file, progress=progress)
    entry = find_entry(name)
    if name.startswith(PREFIX):
        return cached_weights(_repository(name)) or fetch_repository(_repository(name), progress=progress)
    if entry.path is not None:
        return entry.path
    raise ModelError(f"{name} needs no file of its own", hint="It can be used as it is")


def verify(name: str) -> str:
    """Read a model whole and compare it with what is known of it; say what was found.

    Raises
    ------
    SamMilError
        If it is missing, damaged, or another one.
    """
    file = _file(name)
    if file is not None:
        _, digest = file.find(error=ModelError)
        return f"the published file, SHA-256 {digest}"
    entry = find_entry(name)
    if name.startswith(PREFIX):
        return f"as on the hub, SHA-256 {verify_repository(_repository(name))}"
    if entry.role == "classifier":
        from ..train.checkpoint import load_model

        return f"weights and description fit; classes {', '.join(load_model(name, device='cpu').classes)}"
    if entry.role == "encoder":
        from ..features.registry import load_encoder

        encoder = load_encoder(name, device="cpu")
        return f"loads, {encoder.dim} numbers per patch, SHA-256 {encoder.weights_sha256}"
    if entry.path is not None:
        return f"a SAM of {_sam_weights(entry.path)}, SHA-256 {file_sha256(entry.path)}"
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
    published = {**sam_files(), **encoder_files()}
    match = next((file for file in published.values() if file.sha256 and digest.startswith(file.sha256)), None)
    if match is not None and name in (None, match.name):
        _copy(path, match.path, progress)
        part_of(match).unlink(missing_ok=True)
        return find_entry(match.name)
    if name in published:
        raise ModelError(
            f"the checksum is {digest[:16]}, that of {name!r} is {published[name].sha256[:16]}",
            where=path,
            hint=f"Fetch {published[name].url} again, or add it under another name with --as",
        )
    chosen = name or path.stem
    _refuse_taken(chosen, path)
    _sam_weights(path)
    _copy(path, added_folder() / f"{chosen}.pth", progress)
    return find_entry(chosen)


def remove(name: str) -> int:
    """Delete the file of a fetched or added model, and what an unfinished download left; return the bytes freed.

    Raises
    ------
    ModelError
        If it is not on this machine, or belongs to an installed package.
    """
    entry, file = find_entry(name), _file(name)
    if file is not None:
        doomed = [path for path in (file.path, part_of(file)) if path.is_file()]
    elif name.startswith(PREFIX):
        doomed = []
        if freed := remove_repository(_repository(name)):
            return freed
    elif name in added_sams():
        doomed = [added_sams()[name]]
    else:
        raise ModelError(f"{name} {entry.source}", hint="Only what was fetched or added can be removed")
    if not doomed:
        raise ModelError(f"{name} is not on this machine", where=entry.path, hint="There is nothing to remove")
    freed = sum(path.stat().st_size for path in doomed)
    for path in doomed:
        path.unlink()
    return freed


def _file(name: str) -> ModelFile | None:
    return sam_files().get(name) or encoder_files().get(name)


def _repository(name: str) -> str:
    return name.removeprefix(PREFIX)


def _refuse_taken(name: str, path: Path) -> None:
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name == "auto":
        raise ModelError(f"{name!r} is no name for a model", hint="Use letters, digits, - and _ (--as NAME)")
    if name in {entry.name for entry in catalogue()}:
        raise ModelError(
            f"there is a model {name!r} already", where=path, hint="Remove that one first, or choose another name"
        )


def _sam_weights(path: Path) -> str:
    from ..segment.checkpoints import load_sam

    try:
        sam = load_sam(path, device="cpu")
    except SegmentError as error:
        raise SegmentError(
            f"it is no published file, and no SAM: {error.what}", where=path, hint=error.hint
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
