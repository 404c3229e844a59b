"""The interface between models and everything else: what goes into an aggregator and what comes out.

A new model is one file with an :class:`Aggregator` and one card in ``models/aggregators.py``. The training loop
walks through ``stages``, and in each calls ``enter_stage``, ``prepare_stage``, then ``loss`` and ``after_step``;
prediction calls ``forward`` and ``patch_logits``. Neither knows a model by name: what a model can say of its
tokens (attention, evidence, scores and values) it says in its output, and what it cannot is None there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ..errors import SettingsError
from ..settings import ModelSettings
from .bag_tensors import BagTensors

__all__ = ["Aggregator", "AggregatorOutput", "BagTensors", "Loss", "Pooled"]


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


@dataclass(frozen=True, slots=True)
class Pooled:
    """A bag as its head sees it, and what it was pooled from.

    Attributes
    ----------
    logits
        (C,).
    feature
        (H,) of the bag, in front of the head.
    attention
        (heads, T) weights of the tokens.
    """

    logits: Tensor
    feature: Tensor
    attention: Tensor


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
    """

    uses_groups: ClassVar[bool] = False
    accepts_groups: ClassVar[bool] = False
    stages: ClassVar[tuple[str, ...]] = ("train",)

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__()
        self.settings, self.dim, self.n_classes = settings, dim, n_classes
        self.group_tokens = self.uses_groups if settings.groups is None else settings.groups
        #: The stage in which the model is; the last one outside training, since a loaded model is complete.
        self.stage = self.stages[-1]
        if self.group_tokens and not self.accepts_groups:
            raise SettingsError(
                f"the model {settings.name!r} does not take group tokens",
                where="ModelSettings.groups",
                hint="Leave groups out, or choose a model that takes them, such as abmil or sam-mil",
            )

    def tokens(self, bag: BagTensors) -> Tensor:
        """(T, D): what this model sees of the bag, patches first."""
        return bag.tokens if self.group_tokens else bag.features

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag; called in evaluation mode."""
        raise TypeError(f"{type(self).__name__} does not implement forward")

    def pooled(self, bag: BagTensors) -> Pooled:
        """Pool one bag: a teacher of MHIM-MIL needs the feature of the bag and the attention behind it."""
        output = self(bag)
        if output.attention is None:
            raise TypeError(f"{type(self).__name__} does not implement pooled")
        return Pooled(output.logits, output.attention @ output.embeddings, output.attention[None])

    def patch_logits(self, output: AggregatorOutput, n_patches: int) -> Tensor:
        """(N, C) logits of the single patches: the head applied to each patch embedding."""
        if output.values is None:
            raise TypeError(f"{type(self).__name__} does not implement patch_logits")
        return output.values[:n_patches] + output.bias

    def activation_parts(self, output: AggregatorOutput) -> tuple[Tensor, Tensor] | None:
        """Scores (T,) and values (T, C) that make a patch's class activation; None where there are none."""
        return None if output.scores is None or output.values is None else (output.scores, output.values)

    def pooling_parts(self, tokens: Tensor) -> tuple[Tensor, Tensor] | None:
        """Scores (T,) and values (T, C) of these tokens (T, D), as in the output of ``forward``; None as there."""
        return None

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

    def clipped_parts(self) -> list[list[nn.Parameter]]:
        """Parameters whose gradients are clipped together: all, unless parts of the model are trained apart."""
        return [list(self.parameters())]

    def after_step(self) -> None:
        """Run after every optimiser step: a teacher's moving average, for example."""
