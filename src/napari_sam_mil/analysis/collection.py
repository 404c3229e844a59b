"""The slides of a project, a run or a folder of predictions. No Qt, no napari."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sam_mil_engine import layout
from sam_mil_engine.bag.names import find_existing
from sam_mil_engine.errors import DataError, ProjectError

#: How many levels above a run its project is searched for.
_LEVELS_ABOVE = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One slide of a collection.

    Attributes
    ----------
    slide_id
        The name of the slide.
    path
        The recorded path of the slide file, which may have moved (:func:`find_slide`).
    bag
        The bag in the project, or None.
    state
        ``done``, ``failed``, ... as in ``process.csv``, or empty.
    patches, segments
        Their numbers, if known.
    error
        What went wrong, and what to do.
    label, predicted, probability
        From a run or predictions: the label, the predicted class, and the probability of the last class.
    model
        Folder of the model that was not trained on this slide, if a run records it.
    scores
        The file of scores that `predict` wrote, or None.
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
        The folder that was opened.
    title
        Its title for the user.
    project
        The project with the bags, or None if none was found.
    entries
        The slides.
    positive
        The class whose probability is listed; empty if there are no predictions.
    """

    folder: Path
    title: str
    project: Path | None
    entries: tuple[Entry, ...] = field(default=())
    positive: str = ""


def is_collection(folder: Path) -> bool:
    """Whether a folder is a project, a run or predictions, or holds runs."""
    names = (layout.PROCESS_LIST, layout.PREDICTIONS, layout.COMPARISON, layout.MODEL)
    return folder.is_dir() and any((folder / name).is_file() for name in names)


def open_collection(folder: str | Path) -> Collection:
    """Return the slides that a folder lists.

    Raises
    ------
    ProjectError, DataError
        If it is not such a folder, or one of its tables is damaged.
    """
    folder = Path(folder)
    if (folder / layout.PROCESS_LIST).is_file():
        return _read_project(folder)
    table = next((file for file in _tables(folder) if file.is_file()), None)
    if table is None:
        raise ProjectError(
            "this folder is not a project, a run or predictions",
            where=folder,
            hint="Choose the folder of a project, of a trained run or of predictions",
        )
    return _read_predictions(table.parent)


def _tables(folder: Path) -> Iterator[Path]:
    yield folder / layout.PREDICTIONS
    yield folder.parent / layout.PREDICTIONS  # the model of a fold in a run
    yield from sorted(folder.glob(f"*/{layout.PREDICTIONS}"))  # several models side by side: the first


def find_slide(entry: Entry, places: Sequence[Path]) -> Path | None:
    """Return the slide file of an entry: its recorded path, else its name in ``places`` or their ``slides``."""
    if entry.path is None:
        return None
    folders = [folder for place in places for folder in (place, place / "slides", place.parent / "slides")]
    candidates = [entry.path, *(folder / entry.path.name for folder in folders)]
    return next((path for path in candidates if path.exists()), None)


def _read_project(folder: Path) -> Collection:
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


def _read_predictions(folder: Path) -> Collection:
    from sam_mil_engine.tables.cells import nfc
    from sam_mil_engine.tables.reading import read_frame

    table = read_frame(folder / layout.PREDICTIONS, text=("slide_id", "label", "predicted", "error"))
    if "slide_id" not in table:
        raise DataError(
            "the table has no column slide_id",
            where=folder / layout.PREDICTIONS,
            hint="Predict the slides again, or copy the table again",
        )
    project = _project_of(folder)
    known = {} if project is None else {entry.slide_id: entry for entry in _read_project(project).entries}
    probability_columns = [str(name) for name in table.columns if str(name).startswith("p_")]
    rows: dict[str, Entry] = {}
    for row in table.to_dict("records"):
        name = nfc(str(row["slide_id"]))
        rows.setdefault(name, _add_prediction(known.get(name, Entry(name)), row, probability_columns, folder))
    kind = "Run" if layout.is_finished_run(folder) else "Predictions"
    positive = probability_columns[-1].removeprefix("p_") if probability_columns else ""
    return Collection(
        folder=folder,
        title=f"{kind} {folder.name}",
        project=project,
        entries=tuple(rows.values()),
        positive=positive,
    )


def _add_prediction(
    entry: Entry, row: Mapping[Any, Any], probability_columns: Sequence[str], folder: Path
) -> Entry:
    fold, scores = (
        folder / layout.fold_folder(row.get("repeat", 0), row.get("fold", 0)),
        find_existing(folder / f"{entry.slide_id}.json"),
    )
    return replace(
        entry,
        label=str(row.get("label", "")),
        predicted=str(row.get("predicted", "")),
        probability=_number(row[probability_columns[-1]]) if probability_columns else None,
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
    """Return the project of a run or predictions: inside the folder, above it, or the only one next to it.

    A project next to the folder takes precedence over one next to its parent.
    """
    run = run.resolve()
    above = list(run.parents)[:_LEVELS_ABOVE]
    found = next((folder for folder in (run / "project", *above) if (folder / layout.PROCESS_LIST).is_file()), None)
    beside = ([file.parent for file in folder.glob(f"*/{layout.PROCESS_LIST}")] for folder in above[:2])
    return found or next((projects[0] for projects in beside if len(projects) == 1), None)
