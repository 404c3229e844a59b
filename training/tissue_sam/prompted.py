"""One point, three clicks and a box for every wanted mask of an image, asked of every rival."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from measures import iou
from rivals import Mask, Rgb, Rival

#: What is measured, in the order of the table.
KINDS = ("one point, best of three", "one point, its own choice", "three clicks", "box")


def ask(rivals: Mapping[str, Rival], pictures: Iterable[tuple[Rgb, list[Mask]]]) -> pd.DataFrame:
    """IoU of every rival for every wanted mask: columns rival, kind, iou, size (share of the image)."""
    rows = []
    for rgb, wanted in pictures:
        for name, rival in rivals.items():
            rival.look(rgb)
            for mask in wanted:
                found = _ious(rival, mask)
                rows += [(name, kind, value, mask.mean()) for kind, value in zip(KINDS, found, strict=True)]
    return pd.DataFrame(rows, columns=["rival", "kind", "iou", "size"])


def _ious(rival: Rival, mask: Mask) -> tuple[float, float, float, float]:
    points, labels = np.array([innermost(mask)], dtype=float), np.ones(1, dtype=np.int64)
    answers = rival.click(points, labels)
    first = [iou(answer, mask) for answer in answers[:3]]
    answer = answers[0]
    for _ in range(2):
        wrong = answer != mask
        if wrong.any():
            point = innermost(wrong)
            points = np.concatenate([points, [point]])
            labels = np.append(labels, int(mask[int(point[1]), int(point[0])]))
            answer = rival.click(points, labels)[0]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=float)
    return max(first), first[0], iou(answer, mask), iou(rival.box(box)[0], mask)


def innermost(mask: Mask) -> npt.NDArray[np.float64]:
    """x, y of the pixel farthest from the mask's edge: where a person would click."""
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(inside.argmax()), mask.shape)
    return np.array([column + 0.5, row + 0.5])
