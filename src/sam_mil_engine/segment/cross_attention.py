"""The two cross-attentions of SAM's mask decoder, with the image tokens' projections folded into the prompt tokens.

A prompt has T = 7 tokens, the image N = 4096: so the 4096 keys, values and queries of an image that differs from
prompt to prompt are never formed. With heads h of width d, token q and image token x at position p,

    q · W_k (x + p)      = (W_kᵀ q) · x + q · (W_k p)        the second factor is the same for all prompts
    softmax · (x W_v)    = (softmax · x) W_v

and the same the other way round. The bias of the keys adds the same to all logits of a softmax: it falls out.
In the first layer all prompts see the same image, so there its keys, values and queries are formed, once.

A GPU takes all prompts at once. A processor takes one, and of that some image tokens after the other where nothing
needs all of them: what one step writes, the next finds in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt

import torch
from segment_anything.modeling.transformer import Attention
from torch import Tensor

from ..devices import on_processor

#: Image tokens that a processor takes at a time: 1 MiB of float32 for Meta's models.
_TOKENS = 1024


def one_by_one(images: Tensor) -> Iterator[int | slice]:
    """Give the indices of what (B, ...) a processor or a GPU takes at a time."""
    yield from range(len(images)) if on_processor(images.device) else [slice(None)]


def strips(images: Tensor, n: int, width: int = 1) -> list[slice]:
    """Cut n rows, each of ``width`` tokens, into what a processor or a GPU takes at a time."""
    step = max(1, _TOKENS // width) if on_processor(images.device) else n
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


#: A layer norm over the last axis.
Norm = Callable[[Tensor], Tensor]


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
        """Multiply (..., H, T, d) of the tokens with (H, d, N) of the image: (..., H, T, N)."""
        if tokens.ndim == 3:
            return torch.bmm(tokens.to(self.dtype), columns)
        return self.heads_first(tokens, columns).transpose(0, 1)

    def heads_first(self, tokens: Tensor, columns: Tensor) -> Tensor:
        """(B, H, T, d) and (H, d, N) -> (H, B, T, N)."""
        n_prompts, _, n_tokens, _ = tokens.shape
        rows = tokens.transpose(0, 1).reshape(self.heads, n_prompts * n_tokens, self.width)
        return torch.unflatten(torch.bmm(rows.to(self.dtype), columns), 1, (n_prompts, n_tokens))


class TokenToImage(_Folded):
    """Tokens attend to the image.

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
        """(B, T, C) -> (B, T, C), all prompts attending to the same image."""
        weights = torch.softmax(self.heads_first(self._queries(tokens), image.keys), dim=-1)
        seen = torch.unflatten(torch.bmm(weights.flatten(1, 2), image.values), 1, weights.shape[1:3])
        return self._joined(seen.transpose(0, 1).float())

    def __call__(self, tokens: Tensor, images: Tensor) -> Tensor:
        """(B, T, C) and images (B, N, C) -> (B, T, C)."""
        queries = self._queries(tokens)
        folded = (queries @ self._key_weight).flatten(1, 2).to(self.dtype)
        seen = torch.empty_like(folded)
        for prompt in one_by_one(images):
            logits = self.against(queries[prompt], self._position_keys).flatten(-3, -2)
            for rows in strips(images, images.shape[1]):
                logits[..., rows] += folded[prompt] @ images[prompt, rows].mT
            seen[prompt] = torch.softmax(logits, dim=-1) @ images[prompt]
        by_head = torch.unflatten(seen, 1, queries.shape[1:3]).float()
        return self._joined(by_head @ self._value_weight + self._value_bias)

    def _queries(self, tokens: Tensor) -> Tensor:
        return self.split(self.attention.q_proj(tokens)) / sqrt(self.width)

    def _joined(self, by_head: Tensor) -> Tensor:
        out: Tensor = self.attention.out_proj(by_head.transpose(1, 2).flatten(2))
        return out


class ImageToToken(_Folded):
    """The image attends to the tokens; parameters as for :class:`TokenToImage`."""

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

    def shared(self, keys: Tensor, values: Tensor, image: Tensor, queries: Tensor, norm: Norm) -> Tensor:
        """Add what it sees to the image (N, C) that all prompts have, and normalise: (B, N, C)."""
        asked, shown = self._keys(keys), self._shown(values)
        images = image.new_empty(len(keys), *image.shape)
        for prompt in one_by_one(images):
            logits = self.against(asked[prompt], queries)
            for rows in strips(images, len(image)):
                images[prompt, rows] = norm(_add_seen(image[rows], logits[..., rows], shown[prompt]))
        return images

    def __call__(self, keys: Tensor, values: Tensor, images: Tensor, norm: Norm) -> Tensor:
        """Add what it sees in tokens, keys and values (B, T, C), to the images (B, N, C), normalise, in place."""
        asked = self._keys(keys)
        folded = (asked @ self._query_weight).flatten(1, 2).to(self.dtype)
        shown = self._shown(values)
        for prompt in one_by_one(images):
            logits = self.against(asked[prompt], self._position_queries)
            for rows in strips(images, images.shape[1]):
                image = images[prompt, rows]
                logits[..., rows] += torch.unflatten(folded[prompt] @ image.mT, -2, asked.shape[1:3])
                images[prompt, rows] = norm(_add_seen(image, logits[..., rows], shown[prompt]))
        return images

    def _keys(self, tokens: Tensor) -> Tensor:
        return self.split(self.attention.k_proj(tokens)) / sqrt(self.width)

    def _shown(self, values: Tensor) -> Tensor:
        """Give what the tokens show: (B, H T, C)."""
        shown = self.split(self.attention.v_proj(values)) @ self._out_weight + self._out_bias
        by_head: Tensor = shown.flatten(1, 2).to(self.dtype)
        return by_head


def _add_seen(image: Tensor, logits: Tensor, shown: Tensor) -> Tensor:
    """Image (..., n, C), logits (..., H, T, n) and what tokens show (..., H T, C) -> (..., n, C)."""
    weights = torch.softmax(logits, dim=-2).flatten(-3, -2)
    return (weights.mT @ shown).add_(image)
