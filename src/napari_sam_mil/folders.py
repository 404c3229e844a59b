"""Open a project, a RUN or predictions in napari: a slide of it, with its results, and the list of all slides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sam_mil_engine.errors import ProjectError

from .analysis.collection import Collection, Entry, find_slide, is_collection, open_collection
from .analysis.model import AUTO, StoredResults
from .analysis.source import tag_of
from .layers.results import LayerData
from .reader import PathOrPaths, read_slides


def get_folder_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Return :func:`read_folder` for a folder, or the table of one that the engine wrote; else None.

    napari asks here once the user has chosen SAM-MIL for a folder: of one that is something else it would say no
    more than that it was refused, while :func:`read_folder` says what is missing.
    """
    paths = [Path(path)] if isinstance(path, str) else [Path(one) for one in path]
    known = len(paths) == 1 and (paths[0].is_dir() or is_collection(_folder(paths[0])))
    return read_folder if known else None


def read_folder(path: PathOrPaths) -> list[LayerData]:
    """Open the first slide of a folder that can be found, and in a window the docks with its results and the list.

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
            f"none of its {len(collection.entries)} slides is where it was",
            where=folder,
            hint="Put the slide files into the folder “slides” in it or beside it",
        )
    layers = slide_layers(collection, entry)
    _show_docks_soon(folder)
    return layers


def places_of(collection: Collection) -> Sequence[Path]:
    """Return the folders in which the slides of a collection are looked for, besides where they were."""
    project = collection.project
    return [collection.folder, *([project, project.parent] if project is not None else [collection.folder.parent])]


def slide_layers(collection: Collection, entry: Entry) -> list[LayerData]:
    """Open one slide of a collection; its layer knows where its results lie.

    Raises
    ------
    ProjectError, SlideError
        If the slide file cannot be found or opened.
    """
    path = find_slide(entry, places_of(collection))
    if path is None:
        raise ProjectError(
            f"the slide {entry.slide_id} is not where it was",
            where=entry.path or collection.folder,
            hint="Put the file into the folder “slides” in the project or beside it",
        )
    layers = read_slides(str(path))
    if entry.bag is not None:
        classifier = AUTO if entry.model is None else str(entry.model)
        for _, keywords, _ in layers:
            tag = tag_of(keywords["metadata"])
            if tag is not None:
                tag.source.stored = StoredResults(entry.bag.parents[1], classifier, entry.scores)
    return layers


def _folder(path: str | Path) -> Path:
    path = Path(path)
    return path.parent if path.suffix.lower() == ".csv" else path


def _show_docks_soon(folder: Path) -> None:
    """Open the docks once napari has put the layers into the window; without a window nothing is to be shown."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        return
    from qtpy.QtCore import QTimer

    from .docks import open_dock

    def show() -> None:
        open_dock(viewer, "Slides").show_folder(folder)
        open_dock(viewer, "Analyze")  # in front: it tells of the slide that is open

    QTimer.singleShot(0, show)
