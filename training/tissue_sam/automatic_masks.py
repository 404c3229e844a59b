"""Masks of whole images without prompts: figures of every candidate on annotated images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from candidates import FINER, FINEST, Segment
from examples import Example
from measures import Labels, best_set_iou, boundary_recall, purity
from partitions import Divided, Found

#: The figures, in the order of the table.
COLUMNS = (
    "masks",
    "groups",
    "coverage",
    "purity",
    "purity of stain-regions, as many groups",
    "best set",
    "best set of stain-regions, as many groups",
    "best mask",
    "boundary recall",
)


def figures(candidates: Mapping[str, Segment], examples: Sequence[Example]) -> pd.DataFrame:
    """One row a candidate and example: ``COLUMNS``, with ``candidate`` and ``example``."""
    rows: list[dict[str, Any]] = []
    for number, example in enumerate(examples):
        divided = Divided(example.image)
        for name, segment in candidates.items():
            values = _figures(segment(divided), example, divided)
            rows.append(
                {"candidate": name, "example": number, **dict(zip(COLUMNS, map(float, values), strict=True))}
            )
    return pd.DataFrame(rows)


def _figures(found: Found, example: Example, divided: Divided) -> tuple[Any, ...]:
    tissue, wanted = example.image.tissue, example.mask
    partition, classes = found.partition, wanted.astype(np.int64)
    groups = len(np.unique(partition[tissue]))
    equal = _stain_groups(divided, groups)
    return (
        found.masks,
        groups,
        (partition[tissue] > 0).mean(),
        purity(partition[tissue], classes[tissue]),
        purity(equal[tissue], classes[tissue]),
        best_set_iou(partition[tissue], wanted[tissue]),
        best_set_iou(equal[tissue], wanted[tissue]),
        np.mean(found.best(example.things)) if example.things else np.nan,
        boundary_recall(np.where(tissue, partition, -1), np.where(tissue, classes, -1)),
    )


def _stain_groups(divided: Divided, groups: int) -> Labels:
    """``stain-regions`` as so many groups; what lies in none is one of them."""
    superpixels = FINER[0] if groups <= max(FINER[1]) else FINEST[0]
    labels = divided.parts(superpixels)[0]
    outside = bool((divided.image.tissue & (labels < 0)).any())
    return divided.nested(superpixels, [max(groups - outside, 1)], divided.stains).partition
