"""Pairs of a sparse relation, looked up from one side."""

from __future__ import annotations

import torch
from torch import Tensor


class Pairs:
    """Which values belong to each key.

    Parameters
    ----------
    keys, values
        (nnz,) int64: the pairs, in any order.
    n_keys
        Keys are 0..n_keys - 1.
    """

    def __init__(self, keys: Tensor, values: Tensor, n_keys: int):
        self._values = values[torch.argsort(keys, stable=True)]
        self.sizes = torch.bincount(keys, minlength=n_keys)
        self._starts = self.sizes.cumsum(0) - self.sizes

    def of(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Return all pairs of ``keys`` (K,): the place of the key in ``keys``, and the value."""
        sizes = self.sizes[keys]
        place = torch.repeat_interleave(torch.arange(len(keys), device=keys.device), sizes)
        rank = torch.arange(len(place), device=keys.device) - (sizes.cumsum(0) - sizes)[place]
        return place, self._values[self._starts[keys][place] + rank]
