"""A slide as a bag of patch features, with the groups that segments make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BagError
from ..segment.groups import Groups

FloatFeatures = npt.NDArray[np.float32] | npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class FeatureBag:
    """One slide, ready for multiple-instance learning.

    Attributes
    ----------
    slide_id
        Name of the slide.
    coords_px0
        (N, 2) int32: top left corner of every patch.
    features
        (N, D) float16 or float32.
    groups
        Which patch lies in which segment, or None where that stage did not run.
    group_features
        (L, D): mean feature of every group's patches (Eq. 3), or None.
    attrs
        What else the file says: encoder, patch size, mpp, settings key and so on.
    """

    slide_id: str
    coords_px0: npt.NDArray[np.int32]
    features: FloatFeatures
    groups: Groups | None = None
    group_features: FloatFeatures | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def width(self) -> int:
        """D: numbers in a patch feature."""
        return int(self.features.shape[1])

    def check(self) -> FeatureBag:
        """Return the bag itself if its numbers make sense.

        Raises
        ------
        BagError
            Naming the first thing that is wrong: empty, wrong shapes, NaN, duplicate coordinates,
            groups that do not fit.
        """
        where = str(self.attrs.get("path", self.slide_id))
        if self.features.ndim != 2 or self.coords_px0.shape != (len(self.features), 2):
            raise BagError(
                f"features {self.features.shape} and coords {self.coords_px0.shape} do not fit together",
                where=where,
                hint="Extract the features again",
            )
        if len(self) == 0:
            raise BagError("the bag is empty", where=where, hint="The slide has no tissue patch; leave it out")
        for name, array in (("features", self.features), ("groups/features", self.group_features)):
            if array is None:
                continue
            bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
            if len(bad):
                raise BagError(
                    f"{len(bad)} of {len(array)} rows of {name} are not finite, the first is row {bad[0]}",
                    where=where,
                    hint="Extract the features of this slide again, in float32 if the encoder overflows float16",
                )
        unique = np.unique(self.coords_px0, axis=0)
        if len(unique) != len(self):
            raise BagError(
                f"{len(self) - len(unique)} patches have the coordinates of another patch",
                where=where,
                hint="Two runs were probably merged by mistake; extract the features again",
            )
        if self.groups is not None:
            self._check_groups(self.groups, where)
        return self

    def _check_groups(self, groups: Groups, where: str) -> None:
        if len(groups.group_of_patch) != len(self):
            raise BagError(
                f"groups know {len(groups.group_of_patch)} patches, the bag has {len(self)}",
                where=where,
                hint="Run the groups stage again",
            )
        if self.group_features is None or self.group_features.shape != (len(groups), self.width):
            shape = None if self.group_features is None else self.group_features.shape
            raise BagError(
                f"group features have shape {shape}, expected {(len(groups), self.width)}",
                where=where,
                hint="Run the groups stage again",
            )

    def with_groups(self, groups: Groups) -> FeatureBag:
        """Attach groups and their mean features (Eq. 3)."""
        return replace(self, groups=groups, group_features=groups.mean_features(self.features))
