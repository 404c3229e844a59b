"""Open a project, a run or predictions in napari: its first slide with results, and the list of all slides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sam_mil_engine.errors import ProjectError
from sam_mil_engine.slide.zarr_store import is_zarr

from .analysis.collection import Collection, Entry, find_slide, is_collection, open_collection
from .analysis.model import AUTO, StoredResults
from .analysis.source import tag_of
from .layers.results import LayerData
from .reader import PathOrPaths, read_slides


def get_folder_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Return :func:`read_folder` for a folder, or for a table that the engine wrote in it; else None.

    All folders but those of OME-Zarr are accepted, since napari calls this after the user has chosen SAM-MIL. If
    this function refused a folder, napari would give no reason, whereas :func:`read_folder` says what is missing.
    """
    paths = [Path(path)] if isinstance(path, str) else [Path(one) for one in path]
    if len(paths) == 1 and paths[0].is_dir() and is_zarr(paths[0]):
        return None  # a slide, which the other reader opens
    known = len(paths) == 1 and (paths[0].is_dir() or is_collection(_folder(paths[0])))
    return read_folder if known else None


def read_folder(path: PathOrPaths) -> list[LayerData]:
    """Open the first slide of a folder whose file is found. In a window, also open the Analyze and Slides docks.

    Raises
    ------
    ProjectError, DataError
        If the folder is damaged, or none of its slides can be found.
    """
    folder = _folder(path if isinstance(path, str) else path[0])
    collection = open_collection(folder)
    ready = sorted(collection.entries, key=lambda entry: entry.bag is None)
    entry = next((one for one in ready if find_slide(one, places_of(collection)) is not None), None)
    if entry is None:
        raise ProjectError(
            f"none of its {len(collection.entries)} slide files was found",
            where=folder,
            hint="Put the slide files into a folder called “slides”, inside this folder or next to it",
        )
    layers = slide_layers(collection, entry)
    _show_docks_soon(folder)
    return layers


def places_of(collection: Collection) -> Sequence[Path]:
    """Return the folders that are searched for the slides of a collection, besides their recorded paths."""
    project = collection.project
    return [collection.folder, *([project, project.parent] if project is not None else [collection.folder.parent])]


def slide_layers(collection: Collection, entry: Entry) -> list[LayerData]:
    """Open one slide of a collection. The metadata of its layer holds the location of its results.

    Raises
    ------
    ProjectError, SlideError
        If the slide file cannot be found or opened.
    """
    path = find_slide(entry, places_of(collection))
    if path is None:
        raise ProjectError(
            f"the file of the slide {entry.slide_id} was not found",
            where=entry.path or collection.folder,
            hint="Put the file into a folder called “slides”, inside the project or next to it",
        )
    layers = read_slides(str(path))
    if entry.bag is not None:
        classifier = AUTO if entry.model is None else str(entry.model)
        for _, keywords, _ in layers:
            tag = tag_of(keywords["metadata"])
            if tag is not None:
                tag.source.stored = StoredResults(
                    project=entry.bag.parents[1],
                    classifier=classifier,
                    scores=entry.scores,
                    slide_id=entry.slide_id,
                )
    return layers


def _folder(path: str | Path) -> Path:
    path = Path(path)
    return path.parent if path.suffix.lower() == ".csv" else path


def _show_docks_soon(folder: Path) -> None:
    """Open the docks after napari has added the layers. Without a window, do nothing."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        return
    from .docks import open_dock
    from .napari_compat.event_loop import call_later

    def show() -> None:
        open_dock(viewer, "Slides").show_folder(folder)
        open_dock(viewer, "Analyze")  # in front, since it shows the open slide

    call_later(show)
