"""The available models: the engine's catalogue and store, and the runs that the user imported.

The plugin and the command line share one store of weight files. No Qt, no napari.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from sam_mil_engine import layout
from sam_mil_engine.errors import ModelError, SamMilError
from sam_mil_engine.models.registry import available
from sam_mil_engine.models.segmenters import ADDED
from sam_mil_engine.progress import Progress, ProgressCallback, silent

from ..background.worker import call_in_worker
from .library import library

if TYPE_CHECKING:
    from sam_mil_engine.models.card import Kind, ModelCard
    from sam_mil_engine.models.catalogue import Entry


#: The kinds of models that the docks offer.
KINDS: tuple[Kind, ...] = ("segmenter", "encoder", "classifier")
#: The SAM that the Analyze dock offers for download: the smallest of Meta's, which needs no other package.
OFFERED = "vit_b"


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the list.

    Attributes
    ----------
    kind
        ``segmenter``, ``encoder`` or ``classifier``.
    name, what, licence, citation
        Name, description, licence and citation.
    on_disk
        Whether it can be used now.
    source
        The address or folder that it comes from.
    choice
        The value that selects it in a dock: a name, or the folder of a run.
    size
        Size as text; empty if it is not known.
    card
        The text of the model card.
    fetchable, removable, imported
        Whether it can be downloaded; whether its file can be deleted; whether it is an imported run.
    """

    kind: str
    name: str
    what: str
    licence: str
    on_disk: bool
    source: str
    choice: str
    size: str = ""
    citation: str = ""
    card: str = ""
    fetchable: bool = False
    removable: bool = False
    imported: bool = False


def all_models() -> list[Model]:
    """List the engine's models and the imported runs. It reads files, so run it in a job."""
    from sam_mil_engine.models.catalogue import catalogue

    entries = catalogue(KINDS)
    return [*(_of_entry(entry) for entry in entries), *(_of_run(run) for run in library().added("classifier"))]


def _of_entry(entry: Entry) -> Model:
    published = "://" in entry.source
    needs = f" (needs the package {entry.needs})" if entry.needs else ""
    gated = "; its authors ask who downloads it" if entry.gated else ""
    return Model(
        kind=entry.role,
        name=entry.name,
        what=f"{entry.what}{needs}{gated}",
        licence=entry.licence,
        on_disk=entry.on_disk,
        source=entry.source,
        choice=entry.name,
        size=_size(entry.path) or _in_megabytes(entry.size),
        citation=entry.citation,
        card=_card(entry.path),
        fetchable=published and not (entry.on_disk or entry.needs or entry.elsewhere),
        removable=entry.on_disk and (published or entry.source == ADDED),
    )


def _of_run(run: Path) -> Model:
    from sam_mil_engine.training.model_folders import find_model

    listed = Model("classifier", run.name, "", "", False, str(run), str(run), imported=True)
    try:
        folder = find_model(run)
    except SamMilError as error:
        return replace(listed, what=error.what)
    what, size = "a run that you imported", _size(folder)
    return replace(listed, what=what, licence="yours", on_disk=True, size=size, card=_card(folder))


def verify(model: Model, *, progress: ProgressCallback = silent) -> str:
    """Read a model completely, check it, and describe the outcome.

    Raises
    ------
    SamMilError
        If it is missing, damaged, or a different model.
    """
    return f"{model.name}: {call_in_worker(_verify, model, progress=progress)}"


def _verify(model: Model, *, progress: ProgressCallback) -> str:
    from sam_mil_engine.models import store

    progress(Progress("verify", 0, 1, unit="files", message=f"reading {model.name}"))
    if model.imported:
        _, classes = _load(Path(model.choice), progress=progress)
        found = f"weights and description fit; classes {', '.join(classes)}"
    else:
        found = store.verify(model.name)
    progress(Progress("verify", 1, 1, unit="files"))
    return found


def check_access(model: Model) -> str:
    """Say whether a model can be used, and what to do next. It asks the hub, so run it in a job."""
    from sam_mil_engine.models.access import check_access
    from sam_mil_engine.models.catalogue import find_cards

    found = next(check_access(card) for card in find_cards(model.name) if card.kind == model.kind)
    ends = f". {found.window_advice}" if found.window_advice else ""
    return f"{model.name}: {found.found}{ends}. Licence: {model.licence}"


def fetch_work(model: Model) -> Callable[[ProgressCallback], str]:
    """Return the function that downloads the file of a model."""
    if not model.fetchable:
        raise ModelError(
            f"{model.name} has no file to fetch", hint="Choose a model with an address that is not downloaded yet"
        )

    def work(progress: ProgressCallback) -> str:
        from sam_mil_engine.models import store

        return f"Fetched {model.name}: {store.get(model.name, progress=progress)}"

    return work


def offered_sam() -> ModelCard | None:
    """Return the SAM to offer for download; None if a SAM was downloaded or added, or its package is missing."""
    cards = {card.name: card for card in available("segmenter")}
    if any(card.prompts and card.file and card.on_disk for card in cards.values()):
        return None
    return cards.get(OFFERED)


def fetch_card(card: ModelCard, *, progress: ProgressCallback) -> Path:
    """Download the file of a model.

    Raises
    ------
    ModelError
        If there is no network, or what arrives is a different file.
    """
    from sam_mil_engine.models.downloads import fetch

    return fetch(card, progress=progress)


def add_file(path: Path, *, progress: ProgressCallback = silent) -> str:
    """Copy a weight file to the store: a published file under its model name, another SAM under its file name.

    Raises
    ------
    SamMilError
        If it is neither, or if a model of that name exists.
    """
    name, what = call_in_worker(_copy, path, progress=progress)
    return f"Copied as {name}: {what}"


def _copy(path: Path, *, progress: ProgressCallback) -> tuple[str, str]:
    from sam_mil_engine.models import store

    entry = store.add(path, progress=progress)
    return entry.name, entry.what


def remove(model: Model) -> str:
    """Delete the file of a fetched or added model, or remove a run from the list without deleting its files.

    Raises
    ------
    ModelError
        If there is nothing to remove.
    """
    if model.imported:
        library().forget(model.kind, model.choice)
        return f"{model.name} was removed from the list; its folder was not changed"
    from sam_mil_engine.models import store

    return f"Removed {model.name} and freed {store.remove(model.name) / 1e6:,.0f} MB"


def import_run(folder: Path, *, progress: ProgressCallback = silent) -> str:
    """Load a run or a model folder, and add it to the list.

    Raises
    ------
    ModelError
        If it does not hold exactly one trained model.
    """
    progress(Progress("import", 0, 1, unit="models", message=f"reading {folder.name}"))
    architecture, classes = call_in_worker(_load, folder, progress=progress)
    library().add("classifier", folder)
    progress(Progress("import", 1, 1, unit="models"))
    return f"Imported {folder.name}: {architecture}, classes {', '.join(classes)}"


def _load(folder: Path, *, progress: ProgressCallback) -> tuple[str, tuple[str, ...]]:
    """Load a run or a model folder; return its architecture and classes."""
    del progress
    from sam_mil_engine.training.checkpoint import load_model

    trained = load_model(folder)
    return trained.settings.name, trained.classes


def describe_machine() -> str:
    """Describe the device and the memory. It calls the worker process, so run it in a job."""
    memory = psutil.virtual_memory()
    free, total = memory.available / 2**30, memory.total / 2**30
    return f"Runs on {call_in_worker(_device)}; {free:.1f} of {total:.1f} GiB of memory free"


def _device(*, progress: ProgressCallback) -> str:
    del progress
    from sam_mil_engine.devices import describe, pick_device

    return describe(pick_device())


def _size(path: Path | None) -> str:
    if path is None or not path.exists():
        return ""
    files = [path] if path.is_file() else [item for item in path.iterdir() if item.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1e6:,.0f} MB"


def _in_megabytes(size: str) -> str:
    """Convert a size such as ``375,042,383 bytes`` to megabytes, for a narrow column."""
    digits = size.removesuffix(" bytes").replace(",", "")
    return f"{int(digits) / 1e6:,.0f} MB" if digits.isdigit() else size.removeprefix("about ")


def _card(path: Path | None) -> str:
    card = None if path is None or not path.is_dir() else path / layout.CARD
    return card.read_text(encoding="utf-8") if card is not None and card.is_file() else ""
