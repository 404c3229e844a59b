"""Names of the files and folders that this package writes: of a project, of a run, of predictions.

What they hold is known to the class ``Project`` and to :mod:`~sam_mil_engine.training.run_files`. The names stand
here, since rooms below these look for them too.
"""

from __future__ import annotations

import re
from pathlib import Path

#: Of a project: its list of slides, its labels, and the settings with which it was made (a run has these too).
PROCESS_LIST, LABELS, SETTINGS = "process.csv", "labels.csv", "settings.json"
#: Of a project: what a person noted of its slides in the window.
WORKLIST = "worklist.csv"
#: Of a project: native bags, the tissue, label images of segments, images of the patches, and older bags.
BAGS, MASKS, SEGMENTS, STITCHES, SUPERSEDED = "bags", "masks", "segments", "stitches", "superseded"
#: Of a project: tissue that a person drew, which holds in the place of what is found.
DRAWN_TISSUE = "tissue"
#: Ending of a native bag.
BAG_ENDING = ".h5"
#: Of a run: its splits, losses by epoch as table and image, and, written last, its metrics.
SPLITS, HISTORY, CURVES, METRICS = "splits.csv", "history.csv", "curves.png", "metrics.json"
#: Of a run or of predictions: one row for each slide.
PREDICTIONS = "predictions.csv"
#: Of a run: predictions and metrics of patients, where these were asked for.
PATIENTS, PATIENT_METRICS = "patients.csv", "patients.json"
#: Of several runs: their differences.
COMPARISON = "comparison.csv"
#: Of a run or of predictions: how well maps find what is annotated, by slide and together.
LOCALISED_SLIDES, LOCALISATION = "localisation.csv", "localisation.json"
#: Of a model folder: its weights, its description, and its card.
MODEL_WEIGHTS, MODEL, CARD = "model.safetensors", "model.json", "card.md"


def fold_folder(repeat: int, fold: int) -> str:
    """Name of the folder of a split's model in a run."""
    return f"fold-{repeat}-{fold}"


def split_of_folder(name: str) -> tuple[int, int] | None:
    """Repeat and fold of a folder that :func:`fold_folder` named; None of any other."""
    match = re.fullmatch(r"fold-(\d+)-(\d+)", name)
    return None if match is None else (int(match[1]), int(match[2]))


def has_bags(folder: Path) -> bool:
    """Whether a folder holds bags as a project does."""
    return (folder / BAGS).is_dir()


def is_project(folder: Path) -> bool:
    """Whether a folder is a project: it has a list of slides, or bags."""
    return (folder / PROCESS_LIST).is_file() or any((folder / BAGS).glob(f"*{BAG_ENDING}"))


def is_finished_run(folder: Path) -> bool:
    """Whether a folder is a run that came to its end."""
    return (folder / METRICS).is_file()


def side_folder(encoder: str) -> str:
    """Name of the folder of a further encoder's bags: ``bags-`` and its name, other characters as ``-``."""
    return f"{BAGS}-" + re.sub(r"[^\w.-]+", "-", encoder)
