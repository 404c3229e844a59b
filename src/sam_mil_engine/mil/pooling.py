"""The two poolings without attention: mean of the embeddings, maximum of the instance logits."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from ..settings import ModelSettings
from .aggregator import Aggregator, AggregatorOutput, BagTensors
from .attention import pooled_output


class _Pooling(Aggregator):
    """A projection of the patches and a linear head; the subclass says how patches become one bag."""

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__(settings, dim=dim, n_classes=n_classes)
        self.project = nn.Sequential(
            nn.Linear(dim, settings.hidden), nn.ReLU(inplace=True), nn.Dropout(settings.dropout)
        )
        self.head = nn.Linear(settings.hidden, n_classes)


class MeanPooling(_Pooling):
    """The head on the mean embedding: every patch has the same say, and the model has no attention."""

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag; uniform scores make the mean a softmax pooling, with all that follows from it."""
        embeddings = self.project(self.tokens(bag))
        values = nn.functional.linear(embeddings, self.head.weight).float()
        uniform = values.new_zeros(len(values))
        return replace(pooled_output(embeddings, uniform, values, self.head.bias), attention=None)


class MaxPooling(_Pooling):
    """The largest instance logits stand for the bag.

    Two classes: both logits of the patch that is most surely positive. More classes: the largest logit of every
    class, each from its own patch.
    """

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag; all evidence belongs to the winning patches."""
        embeddings = self.project(self.tokens(bag))
        values = nn.functional.linear(embeddings, self.head.weight).float()
        logits = values + self.head.bias
        winners = logits.argmax(dim=0)
        if self.n_classes == 2:
            winners = (logits[:, 1] - logits[:, 0]).argmax().expand(2)
        won = values.gather(0, winners[None])  # (1, C)
        evidence = torch.zeros_like(values).scatter(0, winners[None], won)
        return AggregatorOutput(
            logits=won[0] + self.head.bias,
            attention=None,
            embeddings=embeddings,
            evidence=evidence,
            bias=self.head.bias,
        )

    def patch_logits(self, output: AggregatorOutput, n_patches: int) -> torch.Tensor:
        """(N, C): the instance logits themselves."""
        logits: torch.Tensor = self.head(output.embeddings[:n_patches])
        return logits
