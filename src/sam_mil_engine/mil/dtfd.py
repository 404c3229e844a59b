"""DTFD-MIL: two tiers of attention, the second over what pseudo-bags distil (Zhang et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, one_hot

from ..devices import widest_float
from ..settings import ModelSettings
from .aggregator import Aggregator, AggregatorOutput, BagTensors, Loss
from .attention import AttentionScores, masked_softmax
from .sam_mil import pseudo_bags


class Dtfd(Aggregator):
    """Tier 1 is an AB-MIL on every pseudo-bag, tier 2 one on the features that tier 1 distils from them.

    Each tier has its own cross-entropy and learns from nothing else: the distilled features reach tier 2 without a
    gradient (the paper minimises the two losses over the parameters of the two tiers, Eq. 3 and 6).

    A prediction is linear in the tokens whatever is distilled: tier 2 gives pseudo-bag m the weight b_m, which
    falls on its tokens as tier 1 pools them (AFS) or on the distilled instances alone. So every token has an
    attention, and the evidence is exact. A token taken out changes both tiers, so ``scores`` and ``values`` are
    None. A patch's class is what tier 1 says of it, in either derivation of a patch probability.

    With ``settings.groups`` the group features join the patches as tokens.
    """

    accepts_groups = True

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__(settings, dim=dim, n_classes=n_classes)
        hidden, gated = settings.hidden, settings.dtfd.gated
        self.project = nn.Sequential(
            nn.Linear(dim, hidden, bias=False), nn.ReLU(inplace=True), nn.Dropout(settings.dropout)
        )
        self.attend = AttentionScores(hidden, settings.attention, gated=gated)
        self.head = nn.Linear(hidden, n_classes)
        self.bag_attend = AttentionScores(hidden, settings.attention, gated=gated)
        self.bag_head = nn.Linear(hidden, n_classes)

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag; its pseudo-bags are drawn at random once and for all (:func:`fixed_pseudo_bags`)."""
        tokens = self.tokens(bag)
        embeddings = self.project(tokens)
        _, selection = self._first_tier(embeddings, fixed_pseudo_bags(tokens, self.settings.dtfd.pseudo_bags))
        return self._second_tier(embeddings, selection)

    def loss(self, bag: BagTensors, label: Tensor) -> Loss:
        """Loss of one bag over new pseudo-bags; ``terms`` holds ``pseudo_bags`` (tier 1) and ``bag`` (tier 2)."""
        embeddings = self.project(self.tokens(bag))
        parts = pseudo_bags(len(embeddings), self.settings.dtfd.pseudo_bags, device=embeddings.device)
        part_logits, selection = self._first_tier(embeddings, parts)
        logits = self._second_tier(embeddings.detach(), selection.detach()).logits
        terms = {
            "pseudo_bags": cross_entropy(part_logits, label.expand(len(parts))),
            "bag": cross_entropy(logits[None], label[None]),
        }
        return Loss(total=terms["pseudo_bags"] + terms["bag"], terms=terms, logits=logits)

    def clipped_parts(self) -> list[list[nn.Parameter]]:
        """Projection, attention and head of tier 1, and tier 2, each by itself, as in the released code."""
        parts: list[list[nn.Module]] = [
            [self.project],
            [self.attend],
            [self.head],
            [self.bag_attend, self.bag_head],
        ]
        return [[parameter for module in part for parameter in module.parameters()] for part in parts]

    def patch_logits(self, output: AggregatorOutput, n_patches: int) -> Tensor:
        """(N, C): the head of tier 1 on the patch embeddings."""
        logits: Tensor = self.head(output.embeddings[:n_patches])
        return logits

    def activation_parts(self, output: AggregatorOutput) -> tuple[Tensor, Tensor]:
        """Those of tier 1 with the whole bag for one pseudo-bag."""
        values = linear(output.embeddings, self.head.weight).float()
        return self.attend(output.embeddings), values

    def _first_tier(self, embeddings: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (m, C) of the pseudo-bags (m, T), and the weights (R, T) that make tokens distilled features."""
        options = self.settings.dtfd
        scores = self.attend(embeddings)
        values = linear(embeddings, self.head.weight).float()
        weights = masked_softmax(scores, parts)
        logits = weights @ values + self.head.bias
        if options.distill == "AFS":
            return logits, weights
        if options.distill == "MAS":
            ranking = scores.expand(len(parts), -1)
        else:
            ranking = _class_activation(weights, parts, values, logits, as_released=self.settings.as_released)
        count = min(options.instances, parts.shape[1] // len(parts))
        chosen = [ranking.masked_fill(~parts, -torch.inf).topk(count).indices]
        if options.distill == "MaxMinS":
            chosen.append(ranking.masked_fill(~parts, torch.inf).topk(count, largest=False).indices)
        return logits, one_hot(torch.cat(chosen).flatten(), parts.shape[1]).to(weights.dtype)

    def _second_tier(self, embeddings: Tensor, selection: Tensor) -> AggregatorOutput:
        """Pool the distilled features, ``selection`` (R, T) of the tokens, and follow the weights back to these."""
        distilled = selection @ embeddings
        weights = torch.softmax(self.bag_attend(distilled), dim=0)
        attention = (weights[:, None] * selection).sum(dim=0)  # no matrix product: exact under autocast too
        evidence = attention[:, None] * linear(embeddings, self.bag_head.weight).float()
        return AggregatorOutput(
            logits=evidence.sum(dim=0) + self.bag_head.bias,
            attention=attention,
            embeddings=embeddings,
            evidence=evidence,
            bias=self.bag_head.bias,
        )


def fixed_pseudo_bags(tokens: Tensor, parts: int) -> Tensor:
    """Divide a bag at random, but the same tokens always in the same way, in whatever order they come.

    The random numbers are fixed and go to the tokens by the rank of their sum of features.

    Returns
    -------
    Tensor
        (m, T) bool as :func:`~sam_mil_engine.mil.sam_mil.pseudo_bags` gives it.
    """
    n_tokens = len(tokens)
    parts = min(parts, n_tokens)
    draw = torch.randperm(n_tokens, generator=torch.Generator().manual_seed(0)).to(tokens.device)
    part = torch.empty_like(draw)
    part[tokens.sum(dim=1, dtype=widest_float(tokens.device)).argsort()] = draw % parts
    return part == torch.arange(parts, device=tokens.device)[:, None]


def _class_activation(
    weights: Tensor, parts: Tensor, values: Tensor, logits: Tensor, *, as_released: bool
) -> Tensor:
    """(m, T): probability of a class from the activation n_m a_i (w_c . h_i) of every token (Eq. 7-9).

    The class is the positive one where there are two, else the one that tier 1 predicts for the pseudo-bag. As
    released, it is always the last one, and the activation is a_i (w_c . h_i); with two classes the ranking is the
    same.
    """
    if as_released:
        return torch.softmax(weights.sum(dim=0)[:, None] * values, dim=-1).T[[-1] * len(parts)]
    n_classes = values.shape[1]
    relative = (weights * parts.sum(dim=1, keepdim=True)).sum(dim=0)  # n_m a_i: each token is in one pseudo-bag
    probability = torch.softmax(relative[:, None] * values, dim=-1)
    return probability.T[logits.argmax(dim=1) if n_classes > 2 else [1] * len(parts)]
