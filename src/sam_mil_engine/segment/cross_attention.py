"""The two cross-attentions of SAM's mask decoder, with the image tokens' projections folded into the prompt tokens.

A prompt has T = 7 tokens, the image N = 4096: so the 4096 keys, values and queries of an image that differs from
prompt to prompt are never formed. With heads h of width d, token q and image token x at position p,

    q · W_k (x + p)      = (W_kᵀ q) · x + q · (W_k p)        the second factor is the same for all prompts
    softmax · (x W_v)    = (softmax · x) W_v

and the same the other way round. The bias of the keys adds the same to all logits of a softmax: it falls out.
In the first layer all prompts see the same image, so there its keys, values and queries are formed, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from segment_anything.modeling.transformer import Attention
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SharedKeys:
    """Keys (H, d, N) and values (H, N, d) of an image that all prompts see."""

    keys: Tensor
    values: Tensor


class _Folded:
    """The weights of one attention, cut into H heads of width d; C is the width of a token."""

    def __init__(self, attention: Attention, dtype: torch.dtype):
        self.attention = attention
        self.dtype = dtype
        self.heads: int = attention.num_heads
        self.width: int = attention.internal_dim // attention.num_heads

    def split(self, x: Tensor) -> Tensor:
        """(B, T, H d) -> (B, H, T, d)."""
        return torch.unflatten(x, -1, (self.heads, self.width)).transpose(1, 2)

    def columns(self, x: Tensor) -> Tensor:
        """(N, H d) of the image -> (H, d, N)."""
        by_head = torch.unflatten(x, -1, (self.heads, self.width))
        return by_head.permute(1, 2, 0).to(self.dtype).contiguous()

    def against(self, tokens: Tensor, columns: Tensor) -> Tensor:
        """Multiply (B, H, T, d) of the tokens with (H, d, N) of the image: (H, B, T, N)."""
        n_prompts, _, n_tokens, _ = tokens.shape
        rows = tokens.transpose(0, 1).reshape(self.heads, n_prompts * n_tokens, self.width)
        return torch.unflatten(torch.bmm(rows.to(self.dtype), columns), 1, (n_prompts, n_tokens))


class TokenToImage(_Folded):
    """Tokens look at the image.

    Parameters
    ----------
    attention
        Meta's module with its weights.
    position
        (N, C) positional encoding of the image tokens.
    dtype
        Of everything that has N in its shape.
    """

    def __init__(self, attention: Attention, position: Tensor, dtype: torch.dtype):
        super().__init__(attention, dtype)
        heads = (self.heads, self.width)
        self._key_weight = torch.unflatten(attention.k_proj.weight, 0, heads)
        self._value_weight = torch.unflatten(attention.v_proj.weight, 0, heads).transpose(1, 2)
        self._value_bias = attention.v_proj.bias.view(self.heads, 1, self.width)
        self._position_keys = self.columns(position @ attention.k_proj.weight.T)
        self._position = position

    def share(self, image: Tensor) -> SharedKeys:
        """Project an image (N, C) float32 that all prompts see."""
        values = self.columns(self.attention.v_proj(image)).transpose(1, 2).contiguous()
        return SharedKeys(self.columns(self.attention.k_proj(image + self._position)), values)

    def shared(self, tokens: Tensor, image: SharedKeys) -> Tensor:
        """(B, T, C) -> (B, T, C), all prompts looking at the same image."""
        weights = torch.softmax(self.against(self._queries(tokens), image.keys), dim=-1)
        seen = torch.unflatten(torch.bmm(weights.flatten(1, 2), image.values), 1, weights.shape[1:3])
        return self._joined(seen.transpose(0, 1).float())

    def __call__(self, tokens: Tensor, image: Tensor) -> Tensor:
        """(B, T, C) and an image (B, N, C) for each prompt -> (B, T, C)."""
        queries = self._queries(tokens)
        logits = torch.bmm((queries @ self._key_weight).flatten(1, 2).to(self.dtype), image.transpose(1, 2))
        by_head = torch.unflatten(logits, 1, queries.shape[1:3])
        by_head += self.against(queries, self._position_keys).transpose(0, 1)
        seen = torch.unflatten(torch.bmm(torch.softmax(logits, dim=-1), image), 1, queries.shape[1:3])
        return self._joined(seen.float() @ self._value_weight + self._value_bias)

    def _queries(self, tokens: Tensor) -> Tensor:
        return self.split(self.attention.q_proj(tokens)) / sqrt(self.width)

    def _joined(self, by_head: Tensor) -> Tensor:
        out: Tensor = self.attention.out_proj(by_head.transpose(1, 2).flatten(2))
        return out


class ImageToToken(_Folded):
    """The image looks at the tokens; parameters as for :class:`TokenToImage`."""

    def __init__(self, attention: Attention, position: Tensor, dtype: torch.dtype):
        super().__init__(attention, dtype)
        heads = (self.heads, self.width)
        self._query_weight = torch.unflatten(attention.q_proj.weight, 0, heads)
        self._out_weight = torch.unflatten(attention.out_proj.weight, 1, heads).permute(1, 2, 0)
        # The weights of each of the H softmaxes sum to 1: a share of the bias in every value adds all of it once.
        self._out_bias = attention.out_proj.bias / self.heads
        self._position_queries = self.columns(attention.q_proj(position))
        self._position = position

    def share(self, image: Tensor) -> Tensor:
        """Project an image (N, C) float32 that all prompts see to queries (H, d, N)."""
        return self.columns(self.attention.q_proj(image + self._position))

    def shared(self, keys: Tensor, values: Tensor, image: Tensor, queries: Tensor) -> Tensor:
        """Add what it sees to the image (N, C) that all prompts have: (B, N, C)."""
        logits = self.against(self._keys(keys), queries).transpose(0, 1)
        return torch.baddbmm(image.expand(len(keys), -1, -1), *self._seen(logits, values))

    def __call__(self, keys: Tensor, values: Tensor, image: Tensor) -> Tensor:
        """Add what it sees in tokens, keys and values (B, T, C), to the image (B, N, C), in place."""
        asked = self._keys(keys)
        logits = torch.bmm((asked @ self._query_weight).flatten(1, 2).to(self.dtype), image.transpose(1, 2))
        by_head = torch.unflatten(logits, 1, asked.shape[1:3])
        by_head += self.against(asked, self._position_queries).transpose(0, 1)
        return image.baddbmm_(*self._seen(by_head, values))

    def _keys(self, tokens: Tensor) -> Tensor:
        return self.split(self.attention.k_proj(tokens)) / sqrt(self.width)

    def _seen(self, logits: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights (B, N, H T) of what the tokens show, and that: (B, H T, C)."""
        weights = torch.softmax(logits, dim=2).flatten(1, 2)
        shown = self.split(self.attention.v_proj(values)) @ self._out_weight + self._out_bias
        return weights.transpose(1, 2), shown.flatten(1, 2).to(self.dtype)
