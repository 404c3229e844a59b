"""A bag on a device, and the bag that a part of its patches makes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..bag.feature_bag import FeatureBag
from .group_means import GroupMeans


@dataclass(frozen=True, slots=True)
class BagTensors:
    """A bag on a device, float32.

    Patches and group features lie in one tensor from the start, so that joining them (Eq. 4) copies nothing.

    Attributes
    ----------
    tokens
        (N + L, D): patches, then groups; (N, D) where the bag has no groups or the model is to see none.
    coords_px0
        (N, 2) int64 positions, for models that use neighbourhoods.
    group_of_patch
        (N,) int64: the smallest group of every patch, -1 = unsegmented.
    group_area
        (L,) area of every group's segment in pixels of the segmentation image (A_k of Eq. 5).
    member_group, member_patch
        (nnz,) int64: the pairs of the membership matrix.
    step_px0
        Distance of two neighbouring patches (x, y).
    rounding
        Precision of the group features: one that is computed again is rounded alike.
    """

    tokens: Tensor
    coords_px0: Tensor
    group_of_patch: Tensor
    group_area: Tensor
    member_group: Tensor
    member_patch: Tensor
    step_px0: tuple[float, float]
    rounding: torch.dtype = torch.float32

    def __len__(self) -> int:
        return len(self.group_of_patch)

    @property
    def n_groups(self) -> int:
        """L: groups of the slide, whether their features are among the tokens or not."""
        return len(self.group_area)

    @property
    def width(self) -> int:
        """D: numbers in a token."""
        return int(self.tokens.shape[1])

    @property
    def features(self) -> Tensor:
        """(N, D): the patches alone, a view."""
        return self.tokens[: len(self)]

    @property
    def group_features(self) -> Tensor:
        """(L, D) or (0, D): the group tokens alone, a view."""
        return self.tokens[len(self) :]

    @classmethod
    def of(cls, bag: FeatureBag, *, device: torch.device | str = "cpu") -> BagTensors:
        """Move a bag to ``device``; a bag without groups has L = 0 and every patch unsegmented."""

        def tensor(array: npt.ArrayLike, dtype: type[np.generic]) -> Tensor:
            return torch.from_numpy(np.array(array, dtype=dtype)).to(device)

        groups = bag.groups
        steps = np.broadcast_to(np.asarray(bag.attrs.get("step_px0", 1.0), dtype=float), 2)
        rows = [bag.features] if bag.group_features is None else [bag.features, bag.group_features]
        none: list[int] = []
        return cls(
            tokens=tensor(np.concatenate(rows), np.float32),
            coords_px0=tensor(bag.coords_px0, np.int64),
            group_of_patch=tensor(np.full(len(bag), -1) if groups is None else groups.group_of_patch, np.int64),
            group_area=tensor(none if groups is None else groups.area_raster, np.float32),
            member_group=tensor(
                none if groups is None else np.repeat(np.arange(len(groups)), groups.sizes), np.int64
            ),
            member_patch=tensor(none if groups is None else groups.indices, np.int64),
            step_px0=(float(steps[0]), float(steps[1])),
            rounding=torch.float16 if bag.features.dtype == np.float16 else torch.float32,
        )

    def keeping(self, stays: Tensor) -> BagTensors:
        """Return the bag of the patches that stay, as if the others had never been in it.

        Groups left without a patch are gone. The token of a group that lost patches is the mean of those that stay
        (Eq. 3), rounded as the bag's own; a patch keeps its smallest group, under the group's new number.

        Parameters
        ----------
        stays
            (N,) bool.
        """
        n, pairs = len(self), stays[self.member_patch]
        before = torch.bincount(self.member_group, minlength=self.n_groups)
        left = torch.bincount(self.member_group[pairs], minlength=self.n_groups)
        alive = left > 0
        parts = [self.features[stays]]
        if len(self.tokens) > n:
            own, changed = self.group_features.clone(), torch.nonzero(alive & (left < before)).flatten()
            own[changed] = self.group_means().of(stays[None], torch.zeros_like(changed), changed)
            parts.append(own[alive])
        new_patch, new_group = stays.cumsum(0) - 1, alive.cumsum(0) - 1
        of_patch = self.group_of_patch[stays]
        return replace(
            self,
            tokens=torch.cat(parts),
            coords_px0=self.coords_px0[stays],
            group_of_patch=torch.where(of_patch < 0, of_patch, new_group[of_patch]),
            group_area=self.group_area[alive],
            member_group=new_group[self.member_group[pairs]],
            member_patch=new_patch[self.member_patch[pairs]],
        )

    def group_means(self) -> GroupMeans:
        """Prepare the mean features of groups that lost patches; one preparation serves any number of parts."""
        return GroupMeans(self.features, self.member_group, self.member_patch, self.n_groups, self.rounding)
