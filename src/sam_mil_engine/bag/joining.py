"""Several bags as one: the slides of a patient side by side, their groups apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..errors import BagError
from ..segment.groups import UNSEGMENTED, Groups
from .feature_bag import FeatureBag, FloatFeatures

#: Empty steps between two slides: more than any window of neighbours reaches.
GAP_STEPS = 32


def join_bags(name: str, bags: Sequence[FeatureBag]) -> FeatureBag:
    """Return the patches of all bags as one bag; no group and no neighbourhood crosses two of them.

    The slides lie side by side, each from its top left patch, in steps of the first one's grid; so ``coords_px0``
    are places in this arrangement, not in a slide. Groups keep their patches and features under new numbers;
    patches of a bag without groups lie in none.

    Parameters
    ----------
    name
        The ``slide_id`` of the joined bag.
    bags
        One at least; a single one is returned under the new name, otherwise as it is.

    Raises
    ------
    BagError
        If their features differ in width.
    """
    if len(bags) == 1:
        return replace(bags[0], slide_id=name)
    widths = sorted({bag.width for bag in bags})
    if len(widths) > 1:
        raise BagError(
            f"the slides have features of different widths: {', '.join(map(str, widths))}",
            where=name,
            hint="Process all slides with the same encoder",
        )
    attrs = {key: value for key, value in bags[0].attrs.items() if key != "path"}
    joined = FeatureBag(
        slide_id=name,
        coords_px0=_side_by_side(bags),
        features=_rows([bag.features for bag in bags]),
        attrs=attrs,
    )
    own = [bag.group_features for bag in bags if bag.group_features is not None]
    if not own:
        return joined
    return replace(joined, groups=_join_groups(bags), group_features=_rows(own))


def _side_by_side(bags: Sequence[FeatureBag]) -> npt.NDArray[np.int32]:
    step = _step(bags[0])
    placed, left = [], 0.0
    for bag in bags:
        cells = (bag.coords_px0 - bag.coords_px0.min(axis=0)) / _step(bag)
        coords = np.rint(cells * step) + np.array([left, 0.0])
        placed.append(coords)
        left = np.ceil((coords[:, 0].max() + GAP_STEPS * step[0]) / step[0]) * step[0]
    return np.concatenate(placed).astype(np.int32)


def _rows(parts: Sequence[FloatFeatures]) -> FloatFeatures:
    """(sum of n, D) in the finest precision of the parts."""
    if all(part.dtype == np.float16 for part in parts):
        return np.concatenate([part.astype(np.float16, copy=False) for part in parts])
    return np.concatenate([part.astype(np.float32, copy=False) for part in parts])


def _step(bag: FeatureBag) -> npt.NDArray[np.float64]:
    """(2,) distance of two neighbouring patches."""
    return np.broadcast_to(np.asarray(bag.attrs.get("step_px0", 1.0), dtype=np.float64), 2)


def _join_groups(bags: Sequence[FeatureBag]) -> Groups:
    indptr, indices, of_patch, segments = [np.zeros(1, np.int64)], [], [], []
    patches = groups = entries = segment = 0
    for bag in bags:
        own = bag.groups
        if own is None:
            of_patch.append(np.full(len(bag), UNSEGMENTED, dtype=np.int32))
        else:
            indptr.append(own.indptr[1:] + entries)
            indices.append(own.indices + patches)
            of_patch.append(np.where(own.group_of_patch == UNSEGMENTED, UNSEGMENTED, own.group_of_patch + groups))
            segments.append(own.segment_of_group + segment)
            entries += len(own.indices)
            groups += len(own)
            segment += int(own.segment_of_group.max(initial=-1)) + 1
        patches += len(bag)
    known = [bag.groups for bag in bags if bag.groups is not None]
    return Groups(
        indptr=np.concatenate(indptr),
        indices=np.concatenate(indices).astype(np.int32),
        area_raster=np.concatenate([own.area_raster for own in known]),
        area_um2=np.concatenate([own.area_um2 for own in known]),
        group_of_patch=np.concatenate(of_patch).astype(np.int32),
        segment_of_group=np.concatenate(segments).astype(np.int32),
    )
