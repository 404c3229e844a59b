"""What the result card says of the calibration: of the slide's probability, and of the patches'."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from napari_sam_mil.analysis.calibration import calibration_note
from sam_mil_engine.mil.scores import SlideScores
from sam_mil_engine.training.checkpoint import load_model


def of(model: str | None) -> SimpleNamespace:
    """Return scores with the calibration of a bundled model, or without one."""
    calibration = None if model is None else load_model(model).calibration.reading(0.9)
    stand_in = SimpleNamespace(calibration=calibration)
    stand_in.calibrated = SlideScores.calibrated.fget(stand_in)
    return stand_in


@pytest.mark.parametrize(("model", "slides"), [("colon", 20), ("demo", 18)])
def test_a_bundled_model_has_calibrated_patches_and_no_run(model: str, slides: int) -> None:
    folder = load_model(model).path
    assert calibration_note(folder, of(model)) == (
        f"Patch probabilities are calibrated on {slides} validation slides."
        " No calibration is recorded for the slide probability: read it as a score."
    )


def test_a_run_says_how_far_off_its_slides_were(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"mean": {"ece": 0.123}}))
    assert calibration_note(tmp_path / "fold-0-0", of(None)) == (
        "Patch probabilities are not calibrated."
        " The slide probabilities of this run were off by 0.12 on average (calibration error)."
    )
    (tmp_path / "metrics.json").write_text("{")
    assert "No calibration is recorded" in calibration_note(tmp_path / "fold-0-0", of("demo"))
