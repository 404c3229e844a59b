"""What probabilities are worth: the calibration that a model and its RUN recorded. No Qt, no napari."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sam_mil_engine import layout

if TYPE_CHECKING:
    from sam_mil_engine.mil.scores import SlideScores


def calibration_note(model_folder: Path | None, scores: SlideScores) -> str:
    """Return two sentences: on the calibration of the patches' probabilities, and of the slide's.

    The scores carry what the model file records of its patches. ``metrics.json`` of the RUN around a model folder
    holds the expected calibration error of its test slides (of validation slides where there are none): the mean
    distance of a slide's probability from how often it was right. A bundled or copied model has no RUN around it.
    """
    patches = "Patch probabilities are not calibrated."
    if scores.calibration is not None:
        patches = f"Patch probabilities are {scores.calibrated}."
    error = None if model_folder is None else _read_calibration_error(model_folder.parent / layout.METRICS)
    if error is None:
        return f"{patches} No calibration is recorded for the slide's probability: read it as a score."
    return f"{patches} Slide probabilities of this run were off by {error:.2f} on average (calibration error)."


def _read_calibration_error(file: Path) -> float | None:
    """Return the calibration error; None where there is no such file, or it does not hold one."""
    try:
        mean = json.loads(file.read_text(encoding="utf-8"))["mean"]
        return float(mean["ece"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
