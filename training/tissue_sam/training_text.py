"""How the model was trained and calibrated, in words and tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from calibrate import LEAST_MASKS, POINTS, Line
from fitting import IMAGES, Progress

from sam_mil_engine.settings import SegmentSettings

#: Steps a row of the curve.
_ROW = 100


def training_text(
    progress: Progress, lines: list[Line], grid: SegmentSettings, table: pd.DataFrame, *, images: int
) -> str:
    """What was done, the curve, the calibration and the thresholds."""
    moved = "; ".join(f"{slope:.2f} x {offset:+.2f}" for slope, offset in lines)
    return f"""\
Trained from the weights that shipped before, for {progress.steps} steps of {IMAGES} images, {
        progress.seconds / 60:.0f} minutes, of which a processor worked {
        progress.processor / 60:.0f}. Half of the images are real, with
masks: EBHI-Seg (CC-BY-4.0, by patient), DSB2018 (CC0), BCSS (CC0), glomeruli and oral carcinoma (CC-BY-4.0), at
a random place and scale, with other stains. The others are {images} composites of PCam's tiles with exact
borders, drawn tissue, and real tiles with nested `regions` as teacher. The trunk's first three stages stayed as
they were. GlaS, and CAMELYON's crops and slides, were not trained on; PCam's tiles are of CAMELYON16 too, and
whether a crop shows a slide of the training's tiles is not known.

Held-out images (EBHI-Seg by patient, BCSS, glomeruli, oral carcinoma, composites of PCam's validation part)
then calibrated the predicted IoU of the three answers (slope and offset: {moved}) and chose the thresholds,
{_of_which(table)} (fewer fit no outline, and regions do better then):
{POINTS} x {POINTS} points, no crops, predicted IoU above {grid.pred_iou_thresh:g}, stability at least
{grid.stability_score_thresh:g}.

## Curve

Loss, and IoU of the answers on the images of the training itself, mean over the last {_ROW} steps.

{_curve(progress)}
## Thresholds

{_markdown(table.reset_index())}"""


def _curve(progress: Progress) -> str:
    rows = np.array(progress.history)
    edges = range(0, len(rows), _ROW)
    means = [rows[start : start + _ROW].mean(axis=0) for start in edges]
    table = pd.DataFrame(means, columns=["steps", "loss", "one click", "box", "clicks", "corrected", "embedding"])
    table["steps"] = [min(start + _ROW, len(rows)) for start in edges]
    return _markdown(table)


def _markdown(table: pd.DataFrame) -> str:
    lines = [f"| {' | '.join(map(str, table.columns))} |", "| --- " * len(table.columns) + "|"]
    lines += [f"| {' | '.join(f'{value:.4g}' for value in row)} |" for row in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def _of_which(table: pd.DataFrame) -> str:
    """The pairs of thresholds among which the choice was."""
    most = table["masks"].max()
    if most >= LEAST_MASKS:
        return f"of those that leave at least {LEAST_MASKS} masks of an image"
    return f"those that leave the most masks of an image, {most:g}, since none leaves {LEAST_MASKS}"
