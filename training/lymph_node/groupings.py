"""Controls of segments: the same segments with the patches shuffled among them, and squares of patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from compose import PROCESS
from tiles import SIDE

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.membership import smallest_group


def shuffled(groups: Groups, seed: int) -> Groups:
    """The same segments with the patches of the slide shuffled among them."""
    order = np.random.default_rng(seed).permutation(len(groups.group_of_patch)).astype(np.int32)
    moved = [np.sort(order[groups.patches(group)]) for group in range(len(groups))]
    of_patch = np.empty_like(groups.group_of_patch)
    of_patch[order] = groups.group_of_patch
    return Groups(
        indptr=groups.indptr,
        indices=np.concatenate(moved),
        area_raster=groups.area_raster,
        area_um2=groups.area_um2,
        group_of_patch=of_patch,
        segment_of_group=groups.segment_of_group,
    )


def grid_groups(bag: FeatureBag, cuts: Sequence[int] = PROCESS.segments.cuts) -> Groups:
    """Squares of patches at the depths of the segments, as many as each cut has regions, or a few less."""
    groups = bag.groups
    per_patch = float(np.median(groups.area_raster / groups.sizes))
    cells = bag.coords_px0 // SIDE
    members: list[npt.NDArray[np.int64]] = []
    for count in cuts:
        cell = next(cell for cell in map(_squares(cells), range(1, 1000)) if cell.max() < count)
        members += [np.flatnonzero(cell == number) for number in range(cell.max() + 1)]
    sizes = np.array([len(own) for own in members])
    indices = np.concatenate(members).astype(np.int32)
    area = sizes * per_patch
    return Groups(
        indptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        indices=indices,
        area_raster=area,
        area_um2=np.full(len(members), np.nan),
        group_of_patch=smallest_group(area, sizes, indices, len(bag)),
        segment_of_group=np.zeros(len(members), dtype=np.int32),
    )


def _squares(cells: npt.NDArray[np.int32]) -> Callable[[int], npt.NDArray[np.int64]]:
    """Side in patches -> (N,) number of the square of each patch."""
    return lambda side: np.unique(cells // side, axis=0, return_inverse=True)[1].ravel()
