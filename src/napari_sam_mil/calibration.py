"""What a probability is worth: the calibration that a model's own RUN recorded. No Qt, no napari."""

from __future__ import annotations

import json
from pathlib import Path

from sam_mil_engine import layout

_UNKNOWN = "How well it is calibrated is not recorded: read it as a score, not as a chance."


def calibration_note(model_folder: Path | None) -> str:
    """Return one sentence on the calibration of a model's probabilities.

    ``metrics.json`` of the RUN that a model folder lies in holds the expected calibration error of its test slides
    (of validation slides where there are none): the mean distance of a probability from how often it was right.
    """
    error = None if model_folder is None else _recorded(model_folder.parent / layout.METRICS)
    if error is None:
        return _UNKNOWN
    return f"In the run of this model, such probabilities were off by {error:.2f} on average (calibration error)."


def _recorded(file: Path) -> float | None:
    """Return the figure; None where there is no such file, or it does not hold one."""
    try:
        mean = json.loads(file.read_text(encoding="utf-8"))["mean"]
        return float(mean["ece"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a bundled or copied model has no RUN around it
