"""Softmax pooling of many parts of one bag, from what changes: a slide may have 20,000 segments."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .aggregator import Aggregator, BagTensors
from .attention import masked_softmax
from .memberships import Pairs

#: Numbers in the largest array at once.
_BLOCK = 2_000_000
#: Where less than this share of the pooled weights stays, it is summed up again: the difference says too little.
_LEAST_SHARE = 1e-6


class PoolingOfParts:
    """Pools parts of a bag without going through all tokens for each.

    The sums of the softmax over all tokens are known. For a part, the terms of the patches that go and of the group
    tokens that change are taken away in double precision, and those of the changed tokens added; of a small part,
    only what stays is summed.

    Parameters
    ----------
    model
        Gives score and value of a group token whose mean changed (``pooling_parts``).
    bag
        The whole bag.
    scores, values
        (T,) and (T, C) of its tokens: the patches, then the groups where the model takes them.
    """

    def __init__(self, model: Aggregator, bag: BagTensors, scores: Tensor, values: Tensor):
        self._model, self._bag, self._scores, self._values = model, bag, scores, values
        self._means = bag.group_means()
        self._groups_of = Pairs(bag.member_patch, bag.member_group, len(bag))
        self._sizes = torch.bincount(bag.member_group, minlength=bag.n_groups)
        # MPS has no double precision: all tokens are summed there.
        self._sparse = scores.device.type != "mps"
        if self._sparse:
            self._top = scores.max().double()
            self._terms = self._terms_of(scores, values)
            self._total = self._terms.sum(dim=0)

    def _terms_of(self, scores: Tensor, values: Tensor) -> Tensor:
        """(K, C + 1) float64: weight times value of each class, and the weight."""
        weight = (scores.double() - self._top).exp()[:, None]
        return torch.cat([weight * values.double(), weight], dim=1)

    def pooled(self, stays: Tensor, *, only: bool) -> Tensor:
        """(B, C) pooled values of the parts ``stays`` (B, N), where few patches go, or few stay if ``only``."""
        with_groups = len(self._scores) > len(self._bag)
        row, patch = torch.nonzero(stays if only else ~stays, as_tuple=True)
        changes = self._changed(stays, row, patch, only=only) if with_groups else None
        if not self._sparse:
            return self._densely(stays, changes)
        sums = self._total.new_zeros((len(stays), len(self._total)))
        sums.index_add_(0, row, self._terms[patch])
        if changes is not None:
            untouched = changes.whole if only else changes.touched
            sums.index_add_(0, untouched[0], self._terms[len(self._bag) + untouched[1]])
        if not only:
            sums = self._total - sums
        if changes is not None:
            sums.index_add_(0, changes.row, self._terms_of(changes.scores, changes.values))
        pooled = (sums[:, :-1] / sums[:, -1:]).to(self._values.dtype)
        unsure = ~(sums[:, -1] > _LEAST_SHARE * self._total[-1]) if not only else torch.zeros(0, dtype=torch.bool)
        if unsure.any():
            numbers = torch.nonzero(unsure).flatten()
            pooled[numbers] = self._densely(stays[numbers], None if changes is None else changes.of(numbers))
        return pooled

    def _changed(self, stays: Tensor, row: Tensor, patch: Tensor, *, only: bool) -> _Changes:
        """Return the group tokens that some of the patches (``row``, ``patch``) belong to."""
        n_groups = self._bag.n_groups
        place, group = self._groups_of.of(patch)
        codes, counts = torch.unique(row[place] * n_groups + group, return_counts=True)
        at_row, at_group = codes // n_groups, codes % n_groups
        sizes = self._sizes[at_group]
        left = counts if only else sizes - counts
        changed = torch.nonzero((left > 0) & (left < sizes)).flatten()
        largest = max(self._bag.width, int(self._sizes.max()) if n_groups else 1)
        step = max(1, _BLOCK // largest)  # numbers of a token, or members that are looked through for it
        scores, values = [self._scores[:0]], [self._values[:0]]
        for first in range(0, len(changed), step):
            part = changed[first : first + step]
            found = self._model.pooling_parts(self._means.of(stays, at_row[part], at_group[part]))
            if found is None:
                name = type(self._model).__name__
                raise TypeError(f"{name} takes group tokens and does not implement pooling_parts")
            scores.append(found[0])
            values.append(found[1])
        whole = left == sizes
        return _Changes(
            touched=(at_row, at_group),
            whole=(at_row[whole], at_group[whole]),
            row=at_row[changed],
            group=at_group[changed],
            scores=torch.cat(scores),
            values=torch.cat(values),
        )

    def _densely(self, stays: Tensor, changes: _Changes | None) -> Tensor:
        """Return the same from all tokens of every part: exact whatever stays."""
        if changes is None:
            return masked_softmax(self._scores, stays) @ self._values
        n, n_groups = len(self._bag), self._bag.n_groups
        left = torch.zeros((len(stays), n_groups), dtype=torch.bool, device=stays.device)
        row, member = torch.nonzero(stays[:, self._bag.member_patch], as_tuple=True)
        left[row, self._bag.member_group[member]] = True
        scores, values = self._scores.repeat(len(stays), 1), self._values[n:].repeat(len(stays), 1, 1)
        scores[changes.row, n + changes.group] = changes.scores
        values[changes.row, changes.group] = changes.values
        weights = masked_softmax(scores, torch.cat([stays, left], dim=1))
        return weights[:, :n] @ self._values[:n] + torch.einsum("bl,blc->bc", weights[:, n:], values)


@dataclass(frozen=True, slots=True)
class _Changes:
    """Group tokens of parts: ``touched`` by what goes or stays, ``whole`` ones, and the changed ones."""

    touched: tuple[Tensor, Tensor]
    whole: tuple[Tensor, Tensor]
    row: Tensor
    group: Tensor
    scores: Tensor
    values: Tensor

    def of(self, rows: Tensor) -> _Changes:
        """Return those of some rows, which are numbered again."""
        most = int(torch.cat([self.row, rows]).max()) + 1
        number = torch.full((most,), -1, device=rows.device)
        number[rows] = torch.arange(len(rows), device=rows.device)
        new = number[self.row]
        kept = new >= 0
        return replace(
            self, row=new[kept], group=self.group[kept], scores=self.scores[kept], values=self.values[kept]
        )
