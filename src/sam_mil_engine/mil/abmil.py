"""AB-MIL: attention-based deep multiple-instance learning (Ilse, Tomczak, Welling 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from ..settings import ModelSettings
from .aggregator import Aggregator, AggregatorOutput, BagTensors
from .attention import AttentionScores, pooled_output


class AbMil(Aggregator):
    """Linear(D, 512) + ReLU + dropout -> attention pooling -> linear classifier.

    With ``settings.groups`` the group features join the patches as tokens.
    """

    accepts_groups = True

    def __init__(self, settings: ModelSettings, *, dim: int, n_classes: int):
        super().__init__(settings, dim=dim, n_classes=n_classes)
        self.project = nn.Sequential(
            nn.Linear(dim, settings.hidden), nn.ReLU(inplace=True), nn.Dropout(settings.dropout)
        )
        self.attend = AttentionScores(settings.hidden, settings.attention, gated=settings.gated)
        self.head = nn.Linear(settings.hidden, n_classes)

    def score_tokens(self, bag: BagTensors) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (T, H), attention scores (T,) and head values (T, C) of all tokens, before any softmax."""
        return self._score(self.tokens(bag))

    def pooling_parts(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (T,) and values (T, C): each token has its own, whatever the others are."""
        return self._score(tokens)[1:]

    def _score(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        embeddings = self.project(tokens)
        values = nn.functional.linear(embeddings, self.head.weight).float()
        return embeddings, self.attend(embeddings), values

    def forward(self, bag: BagTensors) -> AggregatorOutput:
        """Predict one bag from all its tokens."""
        return pooled_output(*self.score_tokens(bag), self.head.bias)
