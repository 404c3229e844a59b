"""The models that can be used here: the engine's list and its store, and the RUNs that the user imported.

Weight files are kept where the command line keeps them: what is fetched or added here is there, and the other way.
No Qt, no napari.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sam_mil_engine import layout
from sam_mil_engine.errors import ModelError, SamMilError
from sam_mil_engine.models.segmenters import ADDED
from sam_mil_engine.progress import Progress, ProgressCallback, silent

from ..background.worker import call_in_worker
from .library import library

if TYPE_CHECKING:
    from sam_mil_engine.models.card import Kind
    from sam_mil_engine.models.catalogue import Entry


#: What is listed: everything that a dock can choose.
KINDS: tuple[Kind, ...] = ("segmenter", "encoder", "classifier")


@dataclass(frozen=True, slots=True)
class Model:
    """One line of the list.

    Attributes
    ----------
    kind
        ``segmenter``, ``encoder`` or ``classifier``.
    name, what, licence, citation
        What it is.
    on_disk
        Whether it can be used now.
    source
        Address or folder that it comes from.
    choice
        What a dock takes to use it: a name, or the folder of a RUN.
    size
        In words; empty where that is not known.
    card
        Text about it.
    fetchable, removable, imported
        What can be done with it: download it; delete its file; take the RUN from the list.
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
    """List the engine's models and the imported RUNs; reads their files: run it in a job."""
    from sam_mil_engine.models.catalogue import catalogue

    entries = catalogue(KINDS)
    return [*(_of_entry(entry) for entry in entries), *(_of_run(run) for run in library().added("classifier"))]


def _of_entry(entry: Entry) -> Model:
    published = "://" in entry.source
    needs = f" (needs the package {entry.needs})" if entry.needs else ""
    return Model(
        kind=entry.role,
        name=entry.name,
        what=f"{entry.what}{needs}",
        licence=entry.licence,
        on_disk=entry.on_disk,
        source=entry.source,
        choice=entry.name,
        size=_size(entry.path) or _in_megabytes(entry.size),
        citation=entry.citation,
        card=_card(entry.path),
        fetchable=published and not entry.on_disk and not entry.needs,
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
    """Read a model whole, check it, and say what was found.

    Raises
    ------
    SamMilError
        If it is missing, damaged, or another one.
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


def fetch_work(model: Model) -> Callable[[ProgressCallback], str]:
    """Return the work that fetches a model's file."""
    if not model.fetchable:
        raise ModelError(
            f"{model.name} has no file to fetch", hint="Choose one with an address that is not here yet"
        )

    def work(progress: ProgressCallback) -> str:
        from sam_mil_engine.models import store

        return f"Fetched {model.name}: {store.get(model.name, progress=progress)}"

    return work


def add_file(path: Path, *, progress: ProgressCallback = silent) -> str:
    """Copy a weight file to its place: a published one under its name, another SAM under that of the file.

    Raises
    ------
    SamMilError
        If it is neither, or there is a model of that name.
    """
    name, what = call_in_worker(_copy, path, progress=progress)
    return f"Copied as {name}: {what}"


def _copy(path: Path, *, progress: ProgressCallback) -> tuple[str, str]:
    from sam_mil_engine.models import store

    entry = store.add(path, progress=progress)
    return entry.name, entry.what


def remove(model: Model) -> str:
    """Delete the file of a fetched or added model, or take a RUN from the list, which stays on the disk.

    Raises
    ------
    ModelError
        If there is nothing to remove.
    """
    if model.imported:
        library().forget(model.kind, model.choice)
        return f"{model.name} is no longer listed; its folder stays where it is"
    from sam_mil_engine.models import store

    return f"Removed {model.name}; {store.remove(model.name) / 1e6:,.0f} MB are free again"


def import_run(folder: Path, *, progress: ProgressCallback = silent) -> str:
    """Remember a RUN or a model folder, after loading it.

    Raises
    ------
    ModelError
        If it holds no trained model, or several.
    """
    progress(Progress("import", 0, 1, unit="models", message=f"reading {folder.name}"))
    architecture, classes = call_in_worker(_load, folder, progress=progress)
    library().add("classifier", folder)
    progress(Progress("import", 1, 1, unit="models"))
    return f"Imported {folder.name}: {architecture}, classes {', '.join(classes)}"


def _load(folder: Path, *, progress: ProgressCallback) -> tuple[str, tuple[str, ...]]:
    """Load a RUN or a model folder; return its architecture and classes."""
    del progress
    from sam_mil_engine.training.checkpoint import load_model

    trained = load_model(folder)
    return trained.settings.name, trained.classes


def describe_machine() -> str:
    """Say where models run and how much memory there is. Asks another process for it: run it in a job."""
    text = f"Runs on {call_in_worker(_device)}"
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
        text += f"; {free / 2**30:.1f} of {total / 2**30:.1f} GiB memory free"
    return text


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
    """Bytes in words as megabytes: a column of a dock is narrow."""
    digits = size.removesuffix(" bytes").replace(",", "")
    return f"{int(digits) / 1e6:,.0f} MB" if digits.isdigit() else size.removeprefix("about ")


def _card(path: Path | None) -> str:
    card = None if path is None or not path.is_dir() else path / layout.CARD
    return card.read_text(encoding="utf-8") if card is not None and card.is_file() else ""
