"""The calibration of probabilities, as a model and its run recorded it. No Qt, no napari."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sam_mil_engine import layout

if TYPE_CHECKING:
    from sam_mil_engine.mil.scores import SlideScores


def calibration_note(model_folder: Path | None, scores: SlideScores) -> str:
    """Describe the calibration of the patch probabilities and of the slide probability, in two sentences.

    The scores contain the calibration of the patches. ``metrics.json`` in the run that holds the model folder
    contains the expected calibration error of its test slides (validation slides if there are none): the mean
    difference between the probability of a slide and the frequency of that class. A bundled or copied model has no
    run around it.
    """
    patches = "Patch probabilities are not calibrated."
    if scores.calibration is not None:
        patches = f"Patch probabilities are {scores.calibrated}."
    error = None if model_folder is None else _read_calibration_error(model_folder.parent / layout.METRICS)
    if error is None:
        return f"{patches} No calibration is recorded for the slide probability: read it as a score."
    return f"{patches} The slide probabilities of this run were off by {error:.2f} on average (calibration error)."


def _read_calibration_error(file: Path) -> float | None:
    """Return the calibration error, or None if the file is missing or does not contain one."""
    try:
        mean = json.loads(file.read_text(encoding="utf-8"))["mean"]
        return float(mean["ece"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
