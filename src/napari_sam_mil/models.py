"""The models that can be used here: listed, fetched, verified, added. No Qt, no napari."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sam_mil_engine.errors import ModelError, SamMilError
from sam_mil_engine.features.registry import available_encoders, encoder_files
from sam_mil_engine.files import atomic_path
from sam_mil_engine.model_files import ModelFile, file_sha256
from sam_mil_engine.progress import Progress, ProgressCallback, silent
from sam_mil_engine.segment.published import sam_files
from sam_mil_engine.segment.registry import available_segmenters, find_checkpoint

from .library import library
from .native import prepare_for_torch

Kind = Literal["segmenter", "encoder", "classifier"]
_BLOCK = 2**24


@dataclass(frozen=True, slots=True)
class Model:
    """One line of the list.

    Attributes
    ----------
    kind, name, what, licence
        What it is.
    on_disk
        Whether it can be used now.
    source
        Address or folder that it comes from.
    choice
        What a dock takes to use it: a name, or the path of a file or RUN.
    megabytes
        Its size; 0 where that is not known.
    card
        Text about it.
    file
        Its published file, where there is one: it can be fetched and verified.
    """

    kind: Kind
    name: str
    what: str
    licence: str
    on_disk: bool
    source: str
    choice: str
    megabytes: float = 0.0
    card: str = ""
    file: ModelFile | None = None


def all_models() -> list[Model]:
    """List the engine's models and the added ones. Imports torch: run it in a job."""
    prepare_for_torch()
    return [*_segmenters(), *_encoders(), *_classifiers()]


def _segmenters() -> list[Model]:
    models = []
    for item in available_segmenters():
        file = sam_files().get(item.name)
        source = item.url or "comes with this plugin"
        models.append(
            Model(
                "segmenter",
                item.name,
                item.what,
                item.licence,
                item.on_disk,
                source,
                item.name,
                _size(file),
                file=file,
            )
        )
    for path in library().added("segmenter"):
        what = "a SAM that you added"
        size = path.stat().st_size / 1e6
        models.append(Model("segmenter", path.stem, what, "see its source", True, str(path), str(path), size))
    return models


def _encoders() -> list[Model]:
    models = []
    for item in available_encoders():
        file = encoder_files().get(item.name)
        source = item.url or ("comes with this plugin" if item.on_disk else "named in the Analyze dock")
        models.append(
            Model(
                "encoder",
                item.name,
                item.what,
                item.licence,
                item.on_disk,
                source,
                item.name,
                _size(file),
                file=file,
            )
        )
    return models


def _classifiers() -> list[Model]:
    from sam_mil_engine.train.checkpoint import available_classifiers, bundled_models, find_model

    folders = bundled_models()
    models = []
    for item in available_classifiers():
        folder = folders[item.name]
        size, card = _folder_size(folder), _card(folder)
        models.append(
            Model(
                "classifier",
                item.name,
                item.what,
                item.licence,
                item.on_disk,
                "comes with this plugin",
                item.name,
                size,
                card,
            )
        )
    for run in library().added("classifier"):
        try:
            folder = find_model(run)
        except SamMilError as error:
            models.append(Model("classifier", run.name, error.what, "", False, str(run), str(run)))
            continue
        size, card = _folder_size(folder), _card(folder)
        what = "a run that you imported"
        models.append(Model("classifier", run.name, what, "yours", True, str(run), str(run), size, card))
    return models


def verify(model: Model, *, progress: ProgressCallback = silent) -> str:
    """Read a model whole, check it, and say what was found.

    Raises
    ------
    SamMilError
        If it is missing, damaged, or another one.
    """
    prepare_for_torch()
    progress(Progress("verify", 0, 1, "files", f"reading {model.name}"))
    if model.kind == "classifier":
        from sam_mil_engine.train.checkpoint import load_model

        trained = load_model(Path(model.choice) if Path(model.choice).is_dir() else model.choice)
        found = f"{trained.name}: weights and description fit; classes {', '.join(trained.classes)}"
    elif model.file is not None:
        _, digest = model.file.find(error=ModelError)
        found = f"{model.name}: the published file (SHA-256 {digest[:16]}…)"
    elif model.kind == "segmenter" and model.choice != "regions":
        found = f"{model.name}: a SAM of {_sam_shape(find_checkpoint(model.choice)[0])}"
    elif model.kind == "encoder":
        from sam_mil_engine.features.registry import load_encoder

        found = f"{model.name}: loaded, {load_encoder(model.choice, device='cpu').dim} numbers a patch"
    else:
        found = f"{model.name}: needs no weights"
    progress(Progress("verify", 1, 1, "files"))
    return found


def add_file(path: Path, *, progress: ProgressCallback = silent) -> str:
    """Take a weight file: a published one is copied to its place, another SAM is remembered where it is.

    Raises
    ------
    SamMilError
        If it is neither.
    """
    prepare_for_torch()
    progress(Progress("add", 0, 0, "MB", f"reading {path.name}"))
    digest = file_sha256(path)
    for file in (*sam_files().values(), *encoder_files().values()):
        if digest.startswith(file.sha256):
            _copy(path, file.path, progress)
            return f"Copied as {file.name}: {file.what}"
    shape = _sam_shape(path)
    library().add("segmenter", path)
    return f"Added {path.stem}, a SAM of {shape}; it stays where it is"


def import_run(folder: Path, *, progress: ProgressCallback = silent) -> str:
    """Remember a RUN or a model folder, after loading it.

    Raises
    ------
    ModelError
        If it holds no trained model, or several.
    """
    prepare_for_torch()
    from sam_mil_engine.train.checkpoint import load_model

    progress(Progress("import", 0, 1, "models", f"reading {folder.name}"))
    trained = load_model(folder)
    library().add("classifier", folder)
    progress(Progress("import", 1, 1, "models"))
    return f"Imported {folder.name}: {trained.settings.name}, classes {', '.join(trained.classes)}"


def machine() -> str:
    """Say where models run and how much memory there is. Imports torch: run it in a job."""
    prepare_for_torch()
    from sam_mil_engine.devices import describe, pick_device

    text = f"Runs on {describe(pick_device())}"
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
        text += f"; {free / 2**30:.1f} of {total / 2**30:.1f} GiB memory free"
    return text


def _copy(source: Path, target: Path, progress: ProgressCallback) -> None:
    if target.exists() and target.samefile(source):
        return
    total = source.stat().st_size
    with atomic_path(target) as temporary, source.open("rb") as reader, temporary.open("wb") as writer:
        while block := reader.read(_BLOCK):
            writer.write(block)
            progress(Progress("add", round(writer.tell() / 1e6), round(total / 1e6), "MB", target.name))
        shutil.copymode(source, temporary)


def _sam_shape(path: Path) -> str:
    from sam_mil_engine.segment.checkpoints import load_sam

    sam = load_sam(path, device="cpu")
    return f"{sum(parameter.numel() for parameter in sam.parameters()) / 1e6:.0f} million weights"


def _size(file: ModelFile | None) -> float:
    if file is None:
        return 0.0
    return file.path.stat().st_size / 1e6 if file.path.is_file() else float(file.megabytes)


def _folder_size(folder: Path) -> float:
    return sum(item.stat().st_size for item in folder.iterdir() if item.is_file()) / 1e6


def _card(folder: Path) -> str:
    path = folder / "card.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def fetcher(model: Model) -> Callable[[ProgressCallback], str]:
    """Return the work that fetches a model's file."""
    file = model.file
    if file is None:
        raise ModelError(f"{model.name} has no file of its own to fetch", hint="Choose one with an address")

    def work(progress: ProgressCallback) -> str:
        from sam_mil_engine.downloads import fetch

        fetch(file, progress=progress)
        return f"Fetched {file.name} into {file.path.parent}"

    return work
