"""Mean features of groups that lost some of their patches."""

from __future__ import annotations

import torch
from torch import Tensor

#: Numbers that are copied at once when features are summed.
_BLOCK = 4_000_000


class GroupMeans:
    """Mean features of the groups of one bag, for as many parts of the bag as are asked for.

    The memberships are sorted once. The sums over whole groups are computed when they are first needed.

    Parameters
    ----------
    features
        (N, D) of the patches.
    member_group, member_patch
        (nnz,) int64: the pairs of the membership matrix, in any order.
    n_groups
        L.
    rounding
        Precision to which the means are rounded.
    """

    def __init__(
        self, features: Tensor, member_group: Tensor, member_patch: Tensor, n_groups: int, rounding: torch.dtype
    ):
        order = torch.argsort(member_group, stable=True)
        self._features, self._rounding = features, rounding
        self._group, self._patch = member_group[order], member_patch[order]
        self._sizes = torch.bincount(member_group, minlength=n_groups)
        self._starts = self._sizes.cumsum(0) - self._sizes
        self._whole: Tensor | None = None

    def of(self, stays: Tensor, row: Tensor, group: Tensor) -> Tensor:
        """Mean features (P, D) of the patches of ``group[p]`` that stay in row ``row[p]`` of ``stays``.

        Whichever are fewer are summed, the patches that stay or those that go: nothing is lost to cancellation.

        Parameters
        ----------
        stays
            (B, N) bool, a part of the bag in each row.
        row, group
            (P,) int64.
        """
        sizes = self._sizes[group]
        pair = torch.repeat_interleave(torch.arange(len(group), device=group.device), sizes)
        rank = torch.arange(len(pair), device=group.device) - (sizes.cumsum(0) - sizes)[pair]
        patch = self._patch[self._starts[group][pair] + rank]
        kept = stays[row[pair], patch]
        count = torch.bincount(pair[kept], minlength=len(group))
        by_what_stays = 2 * count <= sizes
        summed = kept == by_what_stays[pair]
        sums = self._sums(pair[summed], patch[summed], len(group))
        others = torch.nonzero(~by_what_stays).flatten()
        if len(others):
            sums[others] = self._whole_groups()[group[others]] - sums[others]
        means: Tensor = (sums / count[:, None]).to(self._rounding).float()
        return means

    def _whole_groups(self) -> Tensor:
        """(L, D): sums of the features of all patches of each group."""
        if self._whole is None:
            self._whole = self._sums(self._group, self._patch, len(self._sizes))
        return self._whole

    def _sums(self, row: Tensor, patch: Tensor, n_rows: int) -> Tensor:
        """(R, D): sums of the features of the patches of each row."""
        width = self._features.shape[1]
        sums = self._features.new_zeros((n_rows, width))
        step = max(1, _BLOCK // width)
        for first in range(0, len(row), step):
            part = slice(first, first + step)
            sums.index_add_(0, row[part], self._features[patch[part]])
        return sums
