"""The patches of a run's unseen slides: the chart of their scores, and strips of the most and least attended."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import layout
from ..bag.names import find_existing
from ..errors import SamMilError
from ..mil.scores import SlideScores
from ..prediction.patches import SlidePatches, patches_of_slides
from ..progress import ProgressCallback
from ..training.calibration import find_negative
from .charts import Chart
from .content import Strip
from .curves import patch_score_chart
from .runs import bags_are_patients, read_settings
from .strips import make_strips

if TYPE_CHECKING:
    from ..training.checkpoint import TrainedModel
    from ..training.run_files import TrainResult

#: Slides of each class whose patches are scored, so that a report takes minutes at most.
PER_CLASS = 20


@dataclass(frozen=True, slots=True)
class PatchesOfRun:
    """What the report shows of the patches, and what the reader must know of it."""

    chart: Chart | None = None
    strips: tuple[Strip, ...] = ()
    notes: tuple[str, ...] = ()


def patches_of_run(folder: Path, run: TrainResult, progress: ProgressCallback) -> PatchesOfRun:
    """Score patches of the unseen slides of the first split (of the first model for an evaluation)."""
    bags = find_bags(folder)
    if bags is None:
        return PatchesOfRun()
    table = run.predictions
    one = table[(table["repeat"] == table["repeat"].iloc[0]) & (table["fold"] == table["fold"].iloc[0])]
    chosen = one.groupby("label", sort=False).head(PER_CLASS)
    slides = [
        (str(row["slide_id"]), str(row["label"]), find_existing(bags / f"{row['slide_id']}{layout.BAG_ENDING}"))
        for row in chosen.to_dict("records")
    ]
    try:
        model = _model(folder, run)
        known = None if model.calibration is None else model.calibration.negative
        negative = find_negative(run.classes, known)
        # without a negative class, strips alone are shown, and scores are of no use
        patches = patches_of_slides(model, slides, negative=negative or 0, progress=progress)
    except SamMilError as error:
        return PatchesOfRun(notes=(f"There are no images of patches: {error.what}.",))
    strips, notes = make_strips(patches)
    chart = None
    if negative is not None:
        chart = patch_score_chart(
            patches, model.calibration, negative=run.classes[negative], threshold=model.threshold
        )
    if len(chosen) < len(one):
        notes += (f"Patches are those of {len(chosen)} of {len(one)} unseen slides of the first split.",)
    return PatchesOfRun(chart, strips, notes)


def find_bags(folder: Path) -> Path | None:
    """Folder of the bags of a run: what an evaluation names, else ``bags`` in a folder above; None without one.

    None also where bags are patients, whose patches lie in several files.
    """
    settings = read_settings(folder)
    if bags_are_patients(settings):
        return None
    named = settings.get("bags")
    if named is not None and os.path.isdir(str(named)):
        return Path(named)
    home = next((parent for parent in folder.resolve().parents[:4] if layout.has_bags(parent)), None)
    return None if home is None else home / layout.BAGS


def patches_of_scores(scores: SlideScores) -> SlidePatches:
    """Return the patches of a prediction; its class is the predicted one."""
    path = scores.attrs.get("path")
    known = path is not None and os.path.isfile(str(path))
    score = scores.patch_probability[:, -1] if scores.patch_score is None else scores.patch_score
    return SlidePatches(
        slide_id=scores.slide_id,
        label=f"predicted {scores.predicted}",
        bag_path=Path(str(path)) if known else None,
        coords_px0=scores.coords_px0,
        attention=scores.relative_attention,
        score=np.asarray(score, dtype=np.float32),
    )


def _model(folder: Path, run: TrainResult) -> TrainedModel:
    from ..training.checkpoint import load_model
    from ..training.model_folders import find_models

    evaluated = read_settings(folder).get("evaluated")
    return load_model(run.model_dir if evaluated is None else find_models(str(evaluated))[0], device="cpu")
