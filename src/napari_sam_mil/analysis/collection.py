"""Folders that the command line or this plugin wrote: a project, a RUN, predictions. No Qt, no napari."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sam_mil_engine import layout
from sam_mil_engine.bag.names import find_existing
from sam_mil_engine.errors import DataError, ProjectError

#: Files by which a folder is known: a project, a RUN or predictions, a trained model.
#: How many folders above a RUN its project may lie.
_ABOVE = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One slide of a collection.

    Attributes
    ----------
    slide_id
        Its name.
    path
        The slide file as it was recorded; it may be elsewhere by now (:func:`find_slide`).
    bag
        Its native bag, where there is one.
    state
        ``done``, ``failed``, ... as in ``process.csv``, or nothing.
    patches, segments
        How many there are, where that is known.
    error
        What went wrong, and what to do.
    label, predicted, probability
        Of a RUN or of predictions: the slide's label, what is predicted, and the last class's probability.
    model
        Folder of the model that did not see the slide in training, where a RUN says so.
    scores
        The slide's scores, where `predict` wrote them.
    """

    slide_id: str
    path: Path | None = None
    bag: Path | None = None
    state: str = ""
    patches: int | None = None
    segments: int | None = None
    error: str = ""
    label: str = ""
    predicted: str = ""
    probability: float | None = None
    model: Path | None = None
    scores: Path | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """The slides of a folder.

    Attributes
    ----------
    folder
        What was opened.
    title
        What it is, for a person.
    project
        The project with the bags; None where none was found.
    entries
        Its slides.
    positive
        The class whose probability is listed; empty where there are no predictions.
    """

    folder: Path
    title: str
    project: Path | None
    entries: tuple[Entry, ...] = field(default=())
    positive: str = ""


def is_collection(folder: Path) -> bool:
    """Whether a folder is a project, a RUN, predictions, or holds RUNs."""
    names = (layout.PROCESS_LIST, layout.PREDICTIONS, layout.COMPARISON, layout.MODEL)
    return folder.is_dir() and any((folder / name).is_file() for name in names)


def open_collection(folder: str | Path) -> Collection:
    """Return the slides that a folder lists.

    Raises
    ------
    ProjectError, DataError
        If it is no such folder, or one of its tables is damaged.
    """
    folder = Path(folder)
    if (folder / layout.PROCESS_LIST).is_file():
        return _project(folder)
    table = next((file for file in _tables(folder) if file.is_file()), None)
    if table is None:
        raise ProjectError(
            "this folder is no project, no run and no predictions",
            where=folder,
            hint="Choose the folder of a project, of a trained run or of predictions",
        )
    return _predicted(table.parent)


def _tables(folder: Path) -> Iterator[Path]:
    yield folder / layout.PREDICTIONS
    yield folder.parent / layout.PREDICTIONS  # a fold's model in a RUN
    yield from sorted(folder.glob(f"*/{layout.PREDICTIONS}"))  # several models beside each other: the first


def find_slide(entry: Entry, places: Sequence[Path]) -> Path | None:
    """Return the slide file of an entry: where it was, else by its name in ``places`` or their ``slides``."""
    if entry.path is None:
        return None
    folders = [folder for place in places for folder in (place, place / "slides", place.parent / "slides")]
    candidates = [entry.path, *(folder / entry.path.name for folder in folders)]
    return next((path for path in candidates if path.is_file()), None)


def _project(folder: Path) -> Collection:
    from sam_mil_engine.process.project import Project

    project = Project(folder)
    entries = []
    for row in project.rows().values():
        bag = project.bag(row.slide_id)
        entries.append(
            Entry(
                slide_id=row.slide_id,
                path=Path(row.path),
                bag=bag if bag.is_file() else None,
                state=row.state,
                patches=row.tiles,
                segments=row.segments,
                error=row.error,
            )
        )
    return Collection(folder=folder, title=f"Project {folder.name}", project=folder, entries=tuple(entries))


def _predicted(folder: Path) -> Collection:
    from sam_mil_engine.tables.cells import nfc
    from sam_mil_engine.tables.reading import read_frame

    table = read_frame(folder / layout.PREDICTIONS, text=("slide_id", "label", "predicted", "error"))
    if "slide_id" not in table:
        raise DataError("it has no column slide_id", where=folder / layout.PREDICTIONS, hint="Write it again")
    project = _project_of(folder)
    known = {} if project is None else {entry.slide_id: entry for entry in _project(project).entries}
    chances = [str(name) for name in table.columns if str(name).startswith("p_")]
    rows: dict[str, Entry] = {}
    for row in table.to_dict("records"):
        name = nfc(str(row["slide_id"]))
        rows.setdefault(name, _with_prediction(known.get(name, Entry(name)), row, chances, folder))
    kind = "Run" if layout.is_finished_run(folder) else "Predictions"
    positive = chances[-1].removeprefix("p_") if chances else ""
    return Collection(
        folder=folder,
        title=f"{kind} {folder.name}",
        project=project,
        entries=tuple(rows.values()),
        positive=positive,
    )


def _with_prediction(entry: Entry, row: Mapping[Any, Any], chances: Sequence[str], folder: Path) -> Entry:
    fold, scores = (
        folder / layout.fold_folder(row.get("repeat", 0), row.get("fold", 0)),
        find_existing(folder / f"{entry.slide_id}.json"),
    )
    return replace(
        entry,
        label=str(row.get("label", "")),
        predicted=str(row.get("predicted", "")),
        probability=_number(row[chances[-1]]) if chances else None,
        error=str(row.get("error", "")) or entry.error,
        model=fold if (fold / layout.MODEL).is_file() else None,
        scores=scores if scores.is_file() else None,
    )


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _project_of(run: Path) -> Path | None:
    """Return the project that a RUN or predictions were made from: in it, above it, or the only one beside it.

    What lies beside it counts before what lies beside the folder above.
    """
    run = run.resolve()
    above = list(run.parents)[:_ABOVE]
    found = next((folder for folder in (run / "project", *above) if (folder / layout.PROCESS_LIST).is_file()), None)
    beside = ([file.parent for file in folder.glob(f"*/{layout.PROCESS_LIST}")] for folder in above[:2])
    return found or next((projects[0] for projects in beside if len(projects) == 1), None)
