"""DSMIL: a critical instance, and the bag as it looks from there (Li, Li, Eliceiri 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..settings import ModelSettings
from .aggregator import Aggregator, AggregatorOutput, BagTensors, Loss
from .attention import output_by_class


class DsMil(Aggregator):
    """Two streams over the embeddings h = dropout(relu(W x)), each with its own logits.

    Instance stream (Eq. 4): the logits of every class are the largest of all tokens, W_0 h_m; token m is the
    critical instance of that class. Bag stream (Eq. 5-8): every token's query q_i is compared with that of the
    critical instance, and the values v_i are averaged with the weights softmax_i(q_i . q_m / sqrt(Q)), one average
    for every class; a one-dimensional convolution over all of them is the head. The root is the released code's,
    which keeps the softmax from saturating; the paper prints none.

    The loss is the mean of both streams' cross-entropies, the logits are their mean (Eq. 9), or the bag stream
    alone (``settings.dsmil.score``). Both streams are linear once the critical instances are known, so the evidence
    is exact. ``attention`` is that of the critical instance of the class with the largest logit.
    With ``settings.groups`` the group features join the patches, and one of them may be the critical instance.
    """

    accepts_groups = True

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__(settings, dim=dim, n_classes=n_classes)
        hidden, width = settings.hidden, settings.dsmil.query
        self.project = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(inplace=True), nn.Dropout(settings.dropout))
        self.instance = nn.Linear(hidden, n_classes)
        self.query = nn.Sequential(nn.Linear(hidden, width))
        if settings.dsmil.query_layers == "tanh":
            self.query.extend([nn.ReLU(inplace=True), nn.Linear(width, width), nn.Tanh()])
        self.value = nn.Linear(hidden, hidden) if settings.dsmil.value_layers == "linear" else nn.Identity()
        self.head = nn.Conv1d(n_classes, n_classes, kernel_size=hidden)

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag."""
        embeddings, instance, attention, evidence = self._streams(bag)
        bias = _bias_of(self.head)
        if self.settings.dsmil.score == "mean":
            critical = instance.argmax(dim=0)[None]
            won = (instance - self.instance.bias).gather(0, critical)
            evidence = (evidence + torch.zeros_like(evidence).scatter(0, critical, won)) / 2
            bias = (bias + self.instance.bias) / 2
        return output_by_class(embeddings, attention, evidence=evidence, bias=bias)

    def patch_logits(self, output: AggregatorOutput, n_patches: int) -> Tensor:
        """(N, C): the instance stream's own classifier."""
        logits: Tensor = self.instance(output.embeddings[:n_patches])
        return logits

    def loss(self, bag: BagTensors, label: Tensor) -> Loss:
        """Mean of the cross-entropies of both streams; ``terms`` holds ``bag`` and ``critical``."""
        _, instance, _, evidence = self._streams(bag)
        critical = instance.amax(dim=0)
        pooled = evidence.sum(dim=0) + _bias_of(self.head)
        terms = {
            "bag": cross_entropy(pooled[None], label[None]) / 2,
            "critical": cross_entropy(critical[None], label[None]) / 2,
        }
        logits = (pooled + critical) / 2 if self.settings.dsmil.score == "mean" else pooled
        return Loss(total=terms["bag"] + terms["critical"], terms=terms, logits=logits)

    def _streams(self, bag: BagTensors) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Embeddings (T, H), instance logits (T, C), attention (T, C) and the bag stream's evidence (T, C)."""
        embeddings = self.project(self.tokens(bag))
        instance = self.instance(embeddings).float()
        queries = self.query(embeddings)
        critical = queries[instance.argmax(dim=0)]  # (C, Q)
        attention = torch.softmax((queries @ critical.T).float() / math.sqrt(queries.shape[1]), dim=0)
        # What token i adds to logit o through the average of class c, before its weight: (T, C out, C in).
        values = torch.einsum("th,och->toc", self.value(embeddings), self.head.weight).float()
        return embeddings, instance, attention, (values * attention[:, None]).sum(dim=-1)


def _bias_of(head: nn.Conv1d) -> Tensor:
    if head.bias is None:
        raise TypeError("the head has no bias")
    return head.bias
