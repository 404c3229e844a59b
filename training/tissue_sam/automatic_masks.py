"""Masks of whole pictures without prompts: thresholds chosen on drawn pictures, figures on annotated ones."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
from measures import best_ious, boundary_recall, objects, purity
from rivals import FELZENSZWALB, NESTED, Mask, Rgb, all_tissue, masks_of

from sam_mil_engine.segment.automatic import AutomaticSegmenter
from sam_mil_engine.segment.regions import RegionSegmenter
from sam_mil_engine.settings import SegmentSettings

#: Points a side, and the thresholds of predicted IoU and stability that are tried.
POINTS = 16
_IOUS, _STABILITIES = (0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6), (0.5, 0.7, 0.85)


def settings(iou: float, stability: float) -> SegmentSettings:
    """One grid on the picture, no crops."""
    return SegmentSettings(
        points_per_side=POINTS, crop_n_layers=0, pred_iou_thresh=iou, stability_score_thresh=stability
    )


def calibrate(sam: object, pictures: Iterable[tuple[Rgb, list[Mask]]]) -> tuple[SegmentSettings, pd.DataFrame]:
    """Choose both thresholds on drawn pictures: best IoU with their things, less what is taken for one too many.

    One run with the lowest thresholds serves them all: a stricter filter keeps a part of its masks.
    """
    rows = []
    segmenter = AutomaticSegmenter(sam, name="tissue-sam", version="", settings=settings(_IOUS[0], _STABILITIES[0]))
    for rgb, wanted in pictures:
        found = segmenter.segment(all_tissue(rgb))
        for iou, stability in product(_IOUS, _STABILITIES):
            kept = (found.predicted_iou > iou) & (found.stability >= stability)
            masks = [found.mask(number) for number in np.flatnonzero(kept)]
            recall = float(np.mean(best_ious(masks, wanted))) if wanted else np.nan
            precision = float(np.mean(best_ious(wanted, masks))) if masks and wanted else np.nan
            rows.append((iou, stability, recall, precision, len(masks)))
    columns = ["predicted IoU", "stability", "best IoU of things", "best IoU of masks", "masks"]
    table = pd.DataFrame(rows, columns=columns).groupby(columns[:2]).mean()
    harmonic = 2 / (1 / table.iloc[:, 0] + 1 / table.iloc[:, 1])
    return settings(*harmonic.idxmax()), table


def compare(model: AutomaticSegmenter, pictures: Iterable[tuple[Rgb, Mask]]) -> pd.DataFrame:
    """Figures of every picture: the model, nested regions at as many groups, Felzenszwalb's segments."""
    rows = []
    for number, (rgb, mask) in enumerate(pictures):
        found = {"regions": NESTED(rgb), "tissue-sam": masks_of(model)(rgb)}
        groups = len(np.unique(partition_of(found["tissue-sam"], mask.shape)))
        single = RegionSegmenter(SegmentSettings(cuts=(groups,)))
        found["regions, as many groups"] = masks_of(single)(rgb)
        found |= {name: find(rgb) for name, find in FELZENSZWALB.items()}
        wanted, classes = objects(mask), mask.astype(np.int64)
        for name, masks in found.items():
            partition = partition_of(masks, mask.shape)
            rows.append(
                {
                    "picture": number,
                    "segmenter": name,
                    "masks": len(masks),
                    "groups": len(np.unique(partition)),
                    "coverage": float((partition > 0).mean()),
                    "purity": purity(partition, classes),
                    "best IoU": float(np.mean(best_ious(masks, wanted))) if wanted else np.nan,
                    "boundary recall": boundary_recall(partition, classes),
                }
            )
    return pd.DataFrame(rows)


def partition_of(masks: list[Mask], size: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Paint all masks into one picture, small ones over large ones; 0 is in none."""
    painted = np.zeros(size, dtype=np.int64)
    for number, mask in enumerate(sorted(masks, key=np.count_nonzero, reverse=True), start=1):
        painted[mask] = number
    return painted
