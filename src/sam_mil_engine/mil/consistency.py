"""Spatial consistency of attention (Eq. 7): how far patches of a group disagree, in three forms (supplement §6).

Groups are the partition g; patches of no segment have no spatial claim and are left out. All forms take the scores
of the patches (N,) before the softmax, and need O(N) steps, no N x N matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .bag_tensors import BagTensors

#: Below this a square root is taken to be zero, where its gradient would have no bound.
_LEAST = 1e-20


@dataclass(frozen=True, slots=True)
class _Parted:
    """Attention divided into groups: (N,) squared deviation from the mean of the group, (N,) group, (L + 1,) sizes.

    The last group takes the patches of no segment, and counts for nothing.
    """

    squares: Tensor
    group: Tensor
    sizes: Tensor

    def per_group(self) -> Tensor:
        """(L,) sums of the squares."""
        sums = self.squares.new_zeros(len(self.sizes)).index_add(0, self.group, self.squares)
        return sums[:-1]

    @classmethod
    def of(cls, attention: Tensor, bag: BagTensors) -> _Parted:
        group = torch.where(bag.group_of_patch < 0, bag.n_groups, bag.group_of_patch)
        sizes = torch.bincount(group, minlength=bag.n_groups + 1)
        sums = attention.new_zeros(len(sizes)).index_add(0, group, attention)
        return cls((attention - (sums / sizes.clamp(min=1))[group]) ** 2, group, sizes)


def variance(scores: Tensor, bag: BagTensors) -> Tensor:
    """sum_k 1/n_k sum_{i in group k} (a_i - mean_k)^2, with a = softmax of the scores: the paper's text."""
    parted = _Parted.of(torch.softmax(scores, dim=0), bag)
    return (parted.per_group() / parted.sizes[:-1].clamp(min=1)).sum()


def released(scores: Tensor, bag: BagTensors) -> Tensor:
    """As the code released with the paper counts: the mean over patches of ||a_i - a_j||, j over the patch's group.

    Patches alone in their group are left out. sum_j (a_i - a_j)^2 = n_k (a_i - mean_k)^2 + sum_j (a_j - mean_k)^2.
    """
    parted = _Parted.of(torch.softmax(scores, dim=0), bag)
    sums = torch.cat([parted.per_group(), parted.squares.new_zeros(1)])
    counted = (parted.group < bag.n_groups) & (parted.sizes[parted.group] > 1)
    squared = parted.sizes[parted.group] * parted.squares + sums[parted.group]
    norms = squared.clamp(min=_LEAST).sqrt().masked_fill(~counted, 0)
    return norms.sum() / counted.sum().clamp(min=1)


def relative(scores: Tensor, bag: BagTensors) -> Tensor:
    """Variance of N a_i in a group, as the mean over groups of two patches and more: free of size."""
    parted = _Parted.of(len(bag) * torch.softmax(scores, dim=0), bag)
    sizes = parted.sizes[:-1]
    counted = sizes > 1
    spread = (parted.per_group() / sizes.clamp(min=1)).masked_fill(~counted, 0)
    return spread.sum() / counted.sum().clamp(min=1)


#: The values of ``ModelSettings.consistency``.
FORMS: dict[str, Callable[[Tensor, BagTensors], Tensor]] = {
    "variance": variance,
    "released": released,
    "relative": relative,
}
