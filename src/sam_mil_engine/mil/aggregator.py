"""The seam between models and everything else: what goes into an aggregator and what comes out.

A new model is one file with an :class:`Aggregator` and one line in ``registry.py``. The training loop walks
through ``stages``, and in each calls ``enter_stage``, ``prepare_stage``, then ``loss`` and ``after_step``;
prediction calls ``forward`` and ``patch_logits``. Neither knows a model by name: what a model can say of its
tokens (attention, evidence, scores and values) it says in its output, and what it cannot is None there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..bag.feature_bag import FeatureBag
from ..errors import SettingsError
from ..settings import ModelSettings


@dataclass(frozen=True, slots=True)
class BagTensors:
    """A bag on a device, float32.

    Patches and group features lie in one tensor from the start, so that joining them (Eq. 4) copies nothing.

    Attributes
    ----------
    tokens
        (N + L, D): patches, then groups; (N, D) where the bag has no groups or the model is to see none.
    coords_px0
        (N, 2) int64 positions, for models that look at neighbourhoods.
    group_of_patch
        (N,) int64: the smallest group of every patch, -1 = unsegmented.
    group_area
        (L,) area of every group's segment in pixels of the segmentation image (A_k of Eq. 5).
    member_group, member_patch
        (nnz,) int64: the pairs of the membership matrix.
    step_px0
        Distance of two neighbouring patches (x, y).
    """

    tokens: Tensor
    coords_px0: Tensor
    group_of_patch: Tensor
    group_area: Tensor
    member_group: Tensor
    member_patch: Tensor
    step_px0: tuple[float, float]

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
        )

    def without_group_tokens(self) -> BagTensors:
        """Return the same patches and partition, without group features as tokens."""
        return replace(self, tokens=self.features)

    def without_group(self, group: int) -> BagTensors:
        """Return the bag without the patches of ``group`` (all its members) and without its token.

        The other groups keep their features; a patch keeps its group under the group's new number.
        """
        n = len(self)
        stays = torch.ones(n, dtype=torch.bool, device=self.tokens.device)
        stays[self.member_patch[self.member_group == group]] = False
        others = torch.arange(self.n_groups, device=stays.device) != group
        keep_tokens = torch.cat([stays, others]) if len(self.tokens) > n else stays
        pairs = stays[self.member_patch] & others[self.member_group]
        new_patch, new_group = stays.cumsum(0) - 1, others.cumsum(0) - 1
        of_patch = self.group_of_patch[stays]
        return replace(
            self,
            tokens=self.tokens[keep_tokens],
            coords_px0=self.coords_px0[stays],
            group_of_patch=torch.where(of_patch < 0, of_patch, new_group[of_patch]),
            group_area=self.group_area[others],
            member_group=new_group[self.member_group[pairs]],
            member_patch=new_patch[self.member_patch[pairs]],
        )


@dataclass(frozen=True, slots=True)
class AggregatorOutput:
    """What an aggregator makes of a bag.

    Attributes
    ----------
    logits
        (C,) of the bag.
    attention
        (T,) weights of the tokens (patches, then groups) that add up to 1, or None where the model has none.
    embeddings
        (T, H) of the tokens, in front of the head.
    evidence
        (T, C): signed contributions that add up to ``logits - bias``, or None where the head is not linear.
    bias
        (C,): the part of the logits that belongs to no token.
    scores, values
        (T,), (T, C): where the model is a softmax pooling with a linear head, its parts before the softmax:
        ``logits = softmax(scores) @ values + bias``. Tokens can then be removed without running the model
        again. None for any other model.
    attention_class
        () int64: the class that ``attention`` belongs to, where the model attends separately for every class.
    """

    logits: Tensor
    attention: Tensor | None
    embeddings: Tensor
    evidence: Tensor | None
    bias: Tensor
    scores: Tensor | None = None
    values: Tensor | None = None
    attention_class: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of one bag: what is minimised, and its weighted terms by name, which add up to it."""

    total: Tensor
    terms: Mapping[str, Tensor]
    logits: Tensor


class Aggregator(nn.Module):
    """Base of all aggregators: tokens of one bag -> logits.

    Parameters
    ----------
    settings
        The model's settings; ``settings.groups`` decides on group tokens, None leaves it to ``uses_groups``.
    dim, n_classes
        D and C.

    Raises
    ------
    SettingsError
        If the settings ask for group tokens and the model cannot take them.

    Class attributes
    ----------------
    uses_groups
        Whether group features join the tokens unless the settings say otherwise.
    accepts_groups
        Whether they may.
    stages
        Names of the trainings that make the model, in order; each goes on from the best weights of the one before.
    recipe
        Fields of ``TrainSettings`` that the model's paper sets otherwise; used where the user did not set them.
    """

    uses_groups: ClassVar[bool] = False
    accepts_groups: ClassVar[bool] = False
    stages: ClassVar[tuple[str, ...]] = ("train",)
    recipe: ClassVar[Mapping[str, object]] = {}

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__()
        self.settings, self.dim, self.n_classes = settings, dim, n_classes
        self.group_tokens = self.uses_groups if settings.groups is None else settings.groups
        #: The stage in which the model is; the last one outside training, since a loaded model is complete.
        self.stage = self.stages[-1]
        if self.group_tokens and not self.accepts_groups:
            raise SettingsError(
                f"the model {settings.name!r} takes no group tokens",
                where="ModelSettings.groups",
                hint="Leave groups out, or choose a model that takes them, such as abmil or sam-mil",
            )

    def tokens(self, bag: BagTensors) -> Tensor:
        """(T, D): what this model sees of the bag, patches first."""
        return bag.tokens if self.group_tokens else bag.features

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag; called in evaluation mode."""
        raise TypeError(f"{type(self).__name__} does not implement forward")

    def patch_logits(self, output: AggregatorOutput, n_patches: int) -> Tensor:
        """(N, C) logits of the single patches: the head applied to each patch embedding."""
        if output.values is None:
            raise TypeError(f"{type(self).__name__} does not implement patch_logits")
        return output.values[:n_patches] + output.bias

    def activation_parts(self, output: AggregatorOutput) -> tuple[Tensor, Tensor] | None:
        """Scores (T,) and values (T, C) that make a patch's class activation; None where there are none."""
        return None if output.scores is None or output.values is None else (output.scores, output.values)

    def loss(self, bag: BagTensors, label: Tensor) -> Loss:
        """Loss of one bag in training mode; cross-entropy of the logits unless the model does more."""
        logits = self(bag).logits
        value = nn.functional.cross_entropy(logits[None], label[None])
        return Loss(total=value, terms={"bag": value}, logits=logits)

    def enter_stage(self, stage: str) -> None:
        """Behave as in ``stage`` from now on: the place to freeze parts. Also called where a run is resumed."""
        self.stage = stage

    def prepare_stage(self, bags: Sequence[BagTensors]) -> None:
        """Take from the training bags what the stage needs: once at its start, in evaluation mode, no gradients.

        What it keeps must lie in buffers of a fixed shape, so that a resumed or loaded model has it too.
        """

    def after_step(self) -> None:
        """Run after every optimiser step: a teacher's moving average, for example."""
