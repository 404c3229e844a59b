"""How well masks and partitions fit an annotation: the figures of every table of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]
#: Pixels within which an outline counts as found, and glands below this many pixels count for nothing.
TOLERANCE, SMALLEST = 4, 300


def iou(one: Mask, other: Mask) -> float:
    """Intersection over union; 0 where both are empty."""
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 0.0


def objects(mask: Mask, *, smallest: int = SMALLEST) -> list[Mask]:
    """Connected pieces of an annotation of at least so many pixels, each (h, w)."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return [numbers == k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= smallest]


def best_ious(found: Sequence[Mask], wanted: Sequence[Mask]) -> list[float]:
    """For each wanted mask the IoU of the best one that was found; 0 where nothing was."""
    if not len(found) or not len(wanted):
        return [0.0] * len(wanted)
    stack = np.stack(found)
    areas = np.count_nonzero(stack, axis=(1, 2))
    best = []
    for mask in wanted:
        common = np.count_nonzero(stack[:, mask], axis=1)
        best.append(float((common / (areas + np.count_nonzero(mask) - common)).max()))
    return best


def purity(partition: Labels, classes: Labels) -> float:
    """Share of pixels that are of the class which most pixels of their part are of."""
    number = int(classes.max()) + 1
    table = np.bincount((partition * number + classes).ravel().astype(np.int64)).astype(float)
    table = np.pad(table, (0, -len(table) % number)).reshape(-1, number)
    return float(table.max(axis=1).sum() / table.sum())


def best_set_iou(partition: Labels, wanted: Mask) -> float:
    """IoU of a mask with the best set of groups: the purest groups, as many as make it largest."""
    flat = np.unique(partition, return_inverse=True)[1].ravel()
    size, inside = np.bincount(flat), np.bincount(flat, weights=wanted.ravel())
    order = np.argsort(-inside / size, kind="stable")
    common, taken = np.cumsum(inside[order]), np.cumsum(size[order])
    return float((common / (taken + inside.sum() - common)).max()) if inside.sum() else float("nan")


def partition_of(masks: Sequence[Mask], size: tuple[int, ...]) -> Labels:
    """Paint all masks into one image (h, w), small ones over large ones; 0 is in none."""
    painted: Labels = np.zeros(size, dtype=np.int64)
    for number, mask in enumerate(sorted(masks, key=np.count_nonzero, reverse=True), start=1):
        painted[mask] = number
    return painted


def boundary_recall(partition: Labels, wanted: Labels) -> float:
    """Share of the annotation's outline with an outline of the partition within :data:`TOLERANCE` pixels."""
    edge = _edges(wanted)
    if not edge.any():
        return float("nan")
    distance = cv2.distanceTransform((~_edges(partition)).astype(np.uint8), cv2.DIST_L2, 5)
    return float((distance[edge] <= TOLERANCE).mean())


def _edges(labels: Labels) -> Mask:
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    return edge


def read_glas(folder: Path, *, step: int = 1, first: int = 0) -> list[tuple[str, npt.NDArray[np.uint8], Mask]]:
    """Name, image and gland mask of every ``step``-th image."""
    names = pd.read_csv(folder / "labels.csv", dtype=str)["name"].tolist()[first::step]
    found = []
    for name in names:
        path = next((folder / "images").glob(f"{name}.*"))
        rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        found.append((name, rgb, cv2.imread(str(folder / "masks" / f"{name}.png"), cv2.IMREAD_GRAYSCALE) > 0))
    return found
