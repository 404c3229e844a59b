"""The seam between models and everything else: what goes into an aggregator and what comes out.

A new model is one file with an :class:`Aggregator` and one line in ``registry.py``. The training loop calls
``loss``; prediction calls ``forward`` and ``patch_logits``. Neither knows a model by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..bag.feature_bag import FeatureBag


@dataclass(frozen=True, slots=True)
class BagTensors:
    """A bag on a device, float32.

    Attributes
    ----------
    features
        (N, D) patch features.
    coords_px0
        (N, 2) int64 positions, for models that look at neighbourhoods.
    group_features
        (L, D); L = 0 where the bag has no groups or the model is to see none.
    group_of_patch
        (N,) int64: the smallest group of every patch, -1 = unsegmented.
    group_area
        (L,) area of every group's segment in pixels of the segmentation image (A_k of Eq. 5).
    member_group, member_patch
        (nnz,) int64: the pairs of the membership matrix.
    step_px0
        Distance of two neighbouring patches (x, y).
    """

    features: Tensor
    coords_px0: Tensor
    group_features: Tensor
    group_of_patch: Tensor
    group_area: Tensor
    member_group: Tensor
    member_patch: Tensor
    step_px0: tuple[float, float]

    def __len__(self) -> int:
        return len(self.features)

    @property
    def n_groups(self) -> int:
        """L."""
        return len(self.group_features)

    @property
    def tokens(self) -> Tensor:
        """(N + L, D): patches, then groups (Eq. 4)."""
        return torch.cat([self.features, self.group_features]) if self.n_groups else self.features

    @classmethod
    def of(cls, bag: FeatureBag, *, device: torch.device | str = "cpu") -> BagTensors:
        """Move a bag to ``device``; a bag without groups has L = 0 and every patch unsegmented."""
        features = torch.as_tensor(bag.features).to(device=device, dtype=torch.float32)
        n, d = features.shape
        step = bag.attrs.get("step_px0", (1.0, 1.0))
        common = {
            "features": features,
            "coords_px0": torch.as_tensor(bag.coords_px0).to(device=device, dtype=torch.int64),
            "step_px0": (float(step[0]), float(step[1])),
        }
        if bag.groups is None or bag.group_features is None:
            empty = torch.zeros(0, dtype=torch.int64, device=device)
            return cls(
                **common,
                group_features=features.new_zeros((0, d)),
                group_of_patch=torch.full((n,), -1, dtype=torch.int64, device=device),
                group_area=features.new_zeros(0),
                member_group=empty,
                member_patch=empty,
            )
        groups = bag.groups
        sizes = torch.as_tensor(groups.sizes)
        return cls(
            **common,
            group_features=torch.as_tensor(bag.group_features).to(device=device, dtype=torch.float32),
            group_of_patch=torch.as_tensor(groups.group_of_patch).to(device=device, dtype=torch.int64),
            group_area=torch.as_tensor(groups.area_raster).to(device=device, dtype=torch.float32),
            member_group=torch.repeat_interleave(torch.arange(len(groups)), sizes).to(device),
            member_patch=torch.as_tensor(groups.indices).to(device=device, dtype=torch.int64),
        )

    def without_group_tokens(self) -> BagTensors:
        """Return the same patches and partition, without group features as tokens."""
        return replace(self, group_features=self.group_features[:0])


@dataclass(frozen=True, slots=True)
class AggregatorOutput:
    """What an aggregator makes of a bag.

    Attributes
    ----------
    logits
        (C,) of the bag.
    attention
        (T,) softmax weights over the tokens (patches, then groups), or None where the model has none.
    embeddings
        (T, H) of the tokens, in front of the head.
    evidence
        (T, C): signed contributions that add up to ``logits - bias``, or None where the head is not linear.
    bias
        (C,): the part of the logits that belongs to no token.
    """

    logits: Tensor
    attention: Tensor | None
    embeddings: Tensor
    evidence: Tensor | None
    bias: Tensor


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of one bag: what is minimised, and its weighted terms by name, which add up to it."""

    total: Tensor
    terms: Mapping[str, Tensor]
    logits: Tensor


class Aggregator(nn.Module):
    """Base of all aggregators: tokens of one bag -> logits.

    Class attributes
    ----------------
    uses_groups
        Whether group features join the tokens unless the settings say otherwise.
    """

    uses_groups: bool = False

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag; called in evaluation mode."""
        raise TypeError(f"{type(self).__name__} does not implement forward")

    def patch_logits(self, output: AggregatorOutput, n_patches: int) -> Tensor:
        """(N, C) logits of the single patches: the head applied to each patch embedding."""
        raise TypeError(f"{type(self).__name__} does not implement patch_logits")

    def loss(self, bag: BagTensors, label: Tensor) -> Loss:
        """Loss of one bag in training mode; cross-entropy of the logits unless the model does more."""
        logits = self(bag).logits
        value = nn.functional.cross_entropy(logits[None], label[None])
        return Loss(total=value, terms={"bag": value}, logits=logits)

    def after_step(self) -> None:
        """Run after every optimiser step: a teacher's moving average, for example."""
