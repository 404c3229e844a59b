"""Predicted IoU that means what it says, level by level, and the thresholds of automatic masks: by held-out masks.

Whole pieces of tissue are the easiest to outline, so their predicted IoU is the highest whatever was clicked. On
images that were not trained on, a line is fitted for each of the three answers from its predicted to its true IoU,
and written into the last layer of the head that predicts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from examples import Example
from measures import best_ious, iou
from prompted import innermost
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from sam_mil_engine.segment.automatic import AutomaticSegmenter
from sam_mil_engine.settings import SegmentSettings

#: Clicks anywhere in a thing beside the one in its middle, and points a side of automatic masks.
_ANYWHERE, POINTS = 2, 16
#: Thresholds of predicted IoU and stability that are tried.
_IOUS, _STABILITIES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7), (0.4, 0.5, 0.6, 0.7, 0.8)
#: Masks that the thresholds must leave of an image: fewer parts fit outlines badly, whichever they are.
LEAST_MASKS = 32
#: Slopes of a line that are allowed: a head that knows nothing becomes nearly constant, none is turned round.
_SLOPES = (0.1, 2.0)

Line = tuple[float, float]


def settings(iou: float, stability: float) -> SegmentSettings:
    """One grid on the image, no crops."""
    return SegmentSettings(
        points_per_side=POINTS, crop_n_layers=0, pred_iou_thresh=iou, stability_score_thresh=stability
    )


def calibrate(sam: Sam, examples: Sequence[Example]) -> list[Line]:
    """Fit slope and offset of each of the three answers, and write them into the weights."""
    predicted, reached = (
        np.concatenate(arrays) for arrays in zip(*(_asked(sam, one) for one in examples), strict=True)
    )
    lines = [_line(predicted[:, level], reached[:, level]) for level in range(3)]
    last = sam.mask_decoder.iou_prediction_head.layers[-1]
    with torch.no_grad():
        for level, (slope, offset) in enumerate(lines, start=1):
            last.weight[level] *= slope
            last.bias[level] = slope * last.bias[level] + offset
    return lines


def thresholds(sam: Sam, examples: Sequence[Example]) -> tuple[SegmentSettings, pd.DataFrame]:
    """Choose both thresholds by :func:`best_pair`, and return the table that it chose from.

    One run with the lowest thresholds serves them all: a stricter filter keeps a part of its masks.
    """
    rows = []
    segmenter = AutomaticSegmenter(sam, name="tissue-sam", version="", settings=settings(_IOUS[0], _STABILITIES[0]))
    for example in examples:
        found = segmenter.segment(example.image)
        things = example.things
        masks = [found.mask(number) for number in range(len(found))]
        worth = np.array(best_ious(things, masks))
        for least, stability in product(_IOUS, _STABILITIES):
            kept = np.flatnonzero((found.predicted_iou > least) & (found.stability >= stability))
            reached = float(np.mean(best_ious([masks[number] for number in kept], things)))
            rows.append((least, stability, reached, float(worth[kept].mean()) if len(kept) else np.nan, len(kept)))
    columns = ["predicted IoU", "stability", "best IoU of things", "best IoU of masks", "masks"]
    table = pd.DataFrame(rows, columns=columns).groupby(columns[:2]).mean()
    return settings(*best_pair(table)), table


def best_pair(table: pd.DataFrame) -> tuple[float, float]:
    """Both thresholds with the best harmonic mean of what is found of things and what masks are worth.

    Of those that leave enough masks, as a few good ones do not divide the tissue; where none does, of the most.
    """
    enough = table[table["masks"] >= min(LEAST_MASKS, table["masks"].max())]
    harmonic = 2 / (1 / enough["best IoU of things"] + 1 / enough["best IoU of masks"])
    least, stability = harmonic.idxmax()
    return float(least), float(stability)


def _asked(sam: Sam, example: Example) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Predicted and true IoU (P, 3) of the answers to clicks in things: in the middle, and anywhere."""
    predictor, rng = SamPredictor(sam), np.random.default_rng(0)
    predictor.set_image(example.image.rgb)
    predicted, reached = [], []
    for thing in example.asked():
        rows, columns = np.nonzero(thing)
        chosen = rng.integers(len(rows), size=_ANYWHERE)
        points = [innermost(thing), *np.stack([columns[chosen], rows[chosen]], axis=1).astype(float)]
        for point in points:
            masks, scores, _ = predictor.predict(point[None], np.ones(1), multimask_output=True)
            predicted.append(scores)
            reached.append([iou(mask, thing) for mask in masks])
    return np.array(predicted, dtype=np.float64).reshape(-1, 3), np.array(reached).reshape(-1, 3)


def _line(predicted: npt.NDArray[np.float64], reached: npt.NDArray[np.float64]) -> Line:
    """Least squares with a slope that is allowed."""
    middle = predicted - predicted.mean()
    slope = float(np.clip((middle @ reached) / max(float(middle @ middle), 1e-9), *_SLOPES))
    return slope, float(reached.mean() - slope * predicted.mean())
