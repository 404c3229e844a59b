"""TransMIL: the patches as a sequence for a transformer (Shao et al. 2021)."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import SettingsError
from ..settings import ModelSettings
from .aggregator import Aggregator, AggregatorOutput, BagTensors, Pooled
from .nystrom import NystromAttention

#: Patches scored together as bags of their own: bounds the memory for large bags.
_BLOCK = 4096


class TransMil(Aggregator):
    """Linear(D, 512) + ReLU + dropout -> attention -> PPEG -> attention -> head on the class token.

    The tokens, in the order of the bag, are lengthened to a square number by repeating the first of them; a learned
    class token stands in front (paper, Algorithm 2). The order of the patches matters. With ``settings.groups`` the
    group features follow the patches in the sequence.

    ``attention``: what the second attention layer takes of each token for the class token, mean over heads, from
    the three Nyström factors exactly; negative weights are set to 0, a repeated token's weight is added to its own,
    and all are divided by their sum. There is no evidence: between token and logit stand a normalisation and layers
    that mix tokens. ``patch_logits`` takes each patch for a bag of its own, as for the other models, so the class
    token sees that patch alone; ``embeddings`` are the projected tokens, in front of all mixing.
    """

    accepts_groups = True

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__(settings, dim=dim, n_classes=n_classes)
        options, hidden = settings.transmil, settings.hidden
        if hidden % options.heads:
            raise SettingsError(
                f"hidden = {hidden} cannot be divided among {options.heads} heads",
                where="ModelSettings.transmil.heads",
                hint="Choose heads that divide hidden",
            )
        self.project = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(inplace=True), nn.Dropout(settings.dropout))
        self.class_token = nn.Parameter(torch.randn(1, hidden))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(3))
        self.layers = nn.ModuleList(
            NystromAttention(
                hidden,
                heads=options.heads,
                landmarks=options.landmarks,
                iterations=options.iterations,
                kernel=options.kernel,
                dropout=options.dropout,
            )
            for _ in range(2)
        )
        self.position = PositionEncoding(hidden)
        self.head = nn.Linear(hidden, n_classes)

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag; attention is computed in evaluation mode only."""
        embeddings = self.project(self.tokens(bag))
        states, weights = self.encode(embeddings, watch=None if self.training else 1)
        return AggregatorOutput(
            logits=self.head(states[0]).float(),
            attention=None if weights is None else _shares(weights.mean(dim=0)),
            embeddings=embeddings,
            evidence=None,
            bias=self.head.bias,
        )

    def pooled(self, bag: BagTensors) -> Pooled:
        """Pool one bag: its feature is the class token, and the first attention layer is watched."""
        states, weights = self.encode(self.project(self.tokens(bag)), watch=0)
        if weights is None:
            raise TypeError("a watched layer gives its weights")
        return Pooled(self.head(states[0]).float(), states[0], weights)

    def encode(self, embeddings: Tensor, *, watch: int | None = None) -> tuple[Tensor, Tensor | None]:
        """(T, H) projected tokens -> normalised states (1 + T, H), class token first.

        With it, (heads, T): what attention layer ``watch`` takes of each token for the class token, a repeated
        token's weight added to its own; None where no layer is watched.
        """
        count = len(embeddings)
        side = math.isqrt(count - 1) + 1
        states = torch.cat([self.class_token, embeddings, embeddings[: side**2 - count]])
        mixed, first = self.layers[0](self.norms[0](states), row=0 if watch == 0 else None)
        states = states + mixed
        image = self.position(states[1:].T.reshape(1, -1, side, side))
        states = torch.cat([states[:1], image.flatten(2)[0].T])
        mixed, last = self.layers[1](self.norms[1](states), row=0 if watch == 1 else None)
        states = self.norms[2]((states + mixed)[: 1 + count])
        weights = last if first is None else first
        return states, None if weights is None else _with_repeats(weights[:, 1:], count)

    def patch_logits(self, output: AggregatorOutput, n_patches: int) -> Tensor:
        """(N, C) logits of every patch as a bag of its own, computed together: class token and patch are a pair."""
        patches = output.embeddings[:n_patches]
        blocks = (patches[start : start + _BLOCK] for start in range(0, n_patches, _BLOCK))
        return torch.cat([self.head(self._class_states(block)).float() for block in blocks])

    def _class_states(self, embeddings: Tensor) -> Tensor:
        """(B, H) single patches -> (B, H): the class token after both layers, for each of them."""
        states = torch.stack([self.class_token.expand_as(embeddings), embeddings], dim=1)  # (B, 2, H)
        first, second = (cast(NystromAttention, layer) for layer in self.layers)
        states = states + first.pairs(self.norms[0](states))
        states = torch.stack([states[:, 0], self.position.single(states[:, 1])], dim=1)
        states = states + second.pairs(self.norms[1](states))
        normed: Tensor = self.norms[2](states[:, 0])
        return normed


class PositionEncoding(nn.Module):
    """PPEG: the tokens as a square image, plus its depthwise convolutions of sides 7, 5 and 3."""

    def __init__(self, hidden: int):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(hidden, hidden, size, padding=size // 2, groups=hidden) for size in (7, 5, 3)
        )

    def forward(self, image: Tensor) -> Tensor:
        """(B, H, side, side) -> the same."""
        total = image
        for convolution in self.convolutions:
            total = total + convolution(image)
        return total

    def single(self, tokens: Tensor) -> Tensor:
        """(B, H) -> (B, H): each an image of side 1, where only the middle of every kernel covers a token."""
        total = tokens
        for name, value in self.convolutions.named_parameters():
            middle = value.shape[-1] // 2
            total = total + (value if name.endswith("bias") else tokens * value[:, 0, middle, middle])
        return total


def _with_repeats(weights: Tensor, count: int) -> Tensor:
    """Weights (heads, side²) of the tokens and of the first of them again -> (heads, T)."""
    own = weights[:, :count].clone()
    own[:, : weights.shape[1] - count] += weights[:, count:]
    return own


def _shares(weights: Tensor) -> Tensor:
    """(T,) without the negative ones, so that they add up to 1; all equal where none is positive."""
    own = weights.clamp(min=0)
    return torch.where(own.sum() > 0, own / own.sum(), torch.full_like(own, 1 / len(own)))
