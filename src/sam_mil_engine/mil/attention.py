"""Attention over tokens: scores, softmax over a part of the tokens, and pooling with a linear head.

Pooling and head are both linear, so the head may come first: with ``values = H W^T`` (T, C), the logits of any
bag drawn from the tokens are ``softmax(scores over its tokens) @ values + bias``. One projection and one scoring
of all tokens thus serve every bag made from them: masked, pseudo, or with a group left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .aggregator import AggregatorOutput


class AttentionScores(nn.Module):
    """Score every token: w^T tanh(V h), or w^T (tanh(V h) * sigmoid(U h)) where gated (Ilse et al. 2018, Eq. 8, 9).

    The last layer has no bias, since a softmax over the scores would not see it. Several ``branches`` are several
    vectors w; ``dropout`` falls on the tanh and on the gate.
    """

    def __init__(self, dim: int, hidden: int, *, gated: bool = False, branches: int = 1, dropout: float = 0.0):
        super().__init__()
        self.tanh = nn.Linear(dim, hidden)
        self.gate = nn.Linear(dim, hidden) if gated else None
        self.score = nn.Linear(hidden, branches, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, embeddings: Tensor) -> Tensor:
        """(T, H) -> (T,) scores, or (T, branches); float32 whatever the precision before."""
        hidden = self.dropout(torch.tanh(self.tanh(embeddings)))
        if self.gate is not None:
            hidden = hidden * self.dropout(torch.sigmoid(self.gate(embeddings)))
        scores: Tensor = self.score(hidden)
        return scores.squeeze(-1).float()


def masked_softmax(scores: Tensor, keep: Tensor) -> Tensor:
    """Softmax of the scores (T,) over the tokens that each row of ``keep`` (B, T) holds -> (B, T).

    Tokens outside get weight zero. Every row must keep one token at least. The largest score of each row is
    taken off before the exponential, so that no number of tokens and no score overflows.
    """
    return torch.softmax(scores.masked_fill(~keep, -torch.inf), dim=-1)


def pooled_output(embeddings: Tensor, scores: Tensor, values: Tensor, bias: Tensor) -> AggregatorOutput:
    """Pool a bag by softmax and linear head, and take the logits apart into exact evidence (methods §3).

    Parameters
    ----------
    embeddings, scores, values, bias
        (T, H), (T,), (T, C) and (C,); ``values`` is the head without bias applied to each embedding.
    """
    attention = torch.softmax(scores, dim=0)
    evidence = attention[:, None] * values
    return AggregatorOutput(
        logits=evidence.sum(dim=0) + bias,
        attention=attention,
        embeddings=embeddings,
        evidence=evidence,
        bias=bias,
        scores=scores,
        values=values,
    )


def output_by_class(embeddings: Tensor, attention: Tensor, *, evidence: Tensor, bias: Tensor) -> AggregatorOutput:
    """Sum the evidence of a model whose classes have an attention each, and show that of the largest logit.

    Parameters
    ----------
    embeddings, attention, evidence, bias
        (T, H), (T, C), (T, C) and (C,). There is no one softmax, so the output has no ``scores``.
    """
    logits = evidence.sum(dim=0) + bias
    shown = logits.argmax()
    return AggregatorOutput(
        logits=logits,
        attention=attention[:, shown],
        embeddings=embeddings,
        evidence=evidence,
        bias=bias,
        attention_class=shown,
    )
