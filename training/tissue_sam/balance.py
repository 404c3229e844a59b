"""Which of three answers to one click comes first: the predicted IoU, moved by output, as drawn images want it.

Whole pieces of tissue are the easiest to outline, so their predicted IoU is the highest whatever was clicked. What
counts is how good an answer is for its kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
import torch
from measures import iou
from prompted import innermost
from rivals import Mask, Rgb
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

#: What may be added to the predicted IoU of the first and of the last of three answers; the middle one stays.
_FIRST, _LAST = np.arange(-0.5, 0.51, 0.02), np.arange(-0.9, 0.11, 0.02)


def balance(sam: Sam, pictures: Iterable[tuple[Rgb, list[Mask]]]) -> tuple[float, float]:
    """Move the predicted IoU in the weights so that the answer that comes first is best on these pictures.

    Returns what was added to that of the first and of the last answer.
    """
    predicted, reached = _asked(sam, pictures)
    rows = np.arange(len(predicted))

    def own_choice(moves: tuple[float, float]) -> float:
        return float(reached[rows, (predicted + _added(moves)).argmax(axis=1)].mean())

    # of equally good moves the smallest
    moves = max(product(_FIRST, _LAST), key=lambda pair: (round(own_choice(pair), 6), -np.abs(pair).sum()))
    with torch.no_grad():
        sam.mask_decoder.iou_prediction_head.layers[-1].bias[1:] += torch.from_numpy(_added(moves)).float()
    return float(moves[0]), float(moves[1])


def _added(moves: tuple[float, float]) -> np.ndarray:
    return np.array([moves[0], 0.0, moves[1]])


def _asked(sam: Sam, pictures: Iterable[tuple[Rgb, list[Mask]]]) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true IoU (P, 3) of the answers to one click in the middle of every wanted mask."""
    predictor = SamPredictor(sam)
    predicted, reached = [], []
    for rgb, wanted in pictures:
        predictor.set_image(rgb)
        for mask in wanted:
            masks, scores, _ = predictor.predict(np.array([innermost(mask)]), np.ones(1), multimask_output=True)
            predicted.append(scores)
            reached.append([iou(found, mask) for found in masks])
    return np.array(predicted, dtype=np.float64), np.array(reached, dtype=np.float64)
