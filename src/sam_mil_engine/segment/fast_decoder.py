"""SAM's mask decoder for many single-point prompts on one image: the same logits, a third of the work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any, Protocol

import torch
from segment_anything.modeling import MaskDecoder, Sam
from torch import Tensor
from torch.nn import functional as nnf

from .cross_attention import ImageToToken, SharedKeys, TokenToImage, one_by_one, strips
from .fast_encoder import autocast


@dataclass(frozen=True, slots=True)
class DecodedMasks:
    """M masks in the order of their prompts: predicted IoU (M,) and low-resolution logits (M, h, w) float32."""

    predicted_iou: Tensor
    logits: Tensor

    @classmethod
    def above(cls, predicted_iou: Tensor, logits: Callable[[Tensor], Tensor], min_iou: float) -> DecodedMasks:
        """Ask for the logits of those masks only that pass; a ``min_iou`` of 0 lets all pass, as SAM's filter does.

        ``predicted_iou`` is (B, masks per prompt), ``logits`` maps a bool array of that shape to (M, h, w).
        """
        passed = predicted_iou > min_iou if min_iou > 0 else torch.ones_like(predicted_iou, dtype=torch.bool)
        return cls(predicted_iou[passed], logits(passed))


class PromptedImage(Protocol):
    """An image that takes prompts."""

    def __call__(self, points: Tensor, *, needed: tuple[int, int], min_iou: float) -> DecodedMasks:
        """Decode B prompts of one point each: three masks per prompt, without those with too low a predicted IoU.

        Parameters
        ----------
        points
            (B, 2) float32 x, y in pixels of SAM's input.
        needed
            Rows and columns of the logits that the image covers; the rest of SAM's square input is padding.
        min_iou
            Masks must exceed it, if it is above 0.
        """
        ...


@dataclass(frozen=True, slots=True)
class _SharedImage:
    """What all prompts on one image have in common: image tokens (N, C) and the first layer's projections."""

    tokens: Tensor
    keys: SharedKeys
    queries: Tensor


def build_decoder(sam: Sam, *, dtype: torch.dtype = torch.float32) -> FastDecoder | PlainDecoder:
    """Run Meta's own class the fast way; a subclass may compute something else, so it is run as it is."""
    is_metas = type(sam.mask_decoder) is MaskDecoder
    return FastDecoder(sam, dtype=dtype) if is_metas else PlainDecoder(sam, dtype=dtype)


class PlainDecoder:
    """A decoder of another class than Meta's, run as it is, in lower ``dtype`` under torch's autocast."""

    def __init__(self, sam: Sam, *, dtype: torch.dtype = torch.float32):
        self._sam = sam
        self._dtype = dtype

    def on(self, embedding: Tensor) -> PromptedImage:
        """Take prompts on an image, given its embedding (C, h, w)."""
        return partial(self._decode, image=embedding[None])

    def _decode(self, points: Tensor, *, needed: tuple[int, int], min_iou: float, image: Tensor) -> DecodedMasks:
        encoder = self._sam.prompt_encoder
        labels = torch.ones((len(points), 1), dtype=torch.int, device=points.device)
        sparse, dense = encoder(points=(points[:, None], labels), boxes=None, masks=None)
        with autocast(points.device, self._dtype):
            logits, predicted_iou = self._sam.mask_decoder(
                image_embeddings=image,
                image_pe=encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )
        return DecodedMasks.above(
            predicted_iou.float(), lambda passed: logits[passed][:, : needed[0], : needed[1]].float(), min_iou
        )


class FastDecoder:
    """The decoder of a :class:`Sam`, its weights seen in another order.

    Parameters
    ----------
    sam
        The model; its weights are used where they are, none is copied but those of other ``dtype``.
    dtype
        Of the image tokens: float32 gives SAM's logits, bfloat16 is faster and moves outlines a little.
    """

    def __init__(self, sam: Sam, *, dtype: torch.dtype = torch.float32):
        self._prompts = sam.prompt_encoder
        self._decoder = sam.mask_decoder
        self._layers = sam.mask_decoder.transformer.layers
        self._dtype = dtype
        position = self._prompts.get_dense_pe()[0].flatten(1).T
        transformer = sam.mask_decoder.transformer
        self._to_image = [TokenToImage(x.cross_attn_token_to_image, position, dtype) for x in self._layers]
        self._to_tokens = [ImageToToken(x.cross_attn_image_to_token, position, dtype) for x in self._layers]
        self._to_image_last = TokenToImage(transformer.final_attn_token_to_image, position, dtype)
        self._norms = [_Norm(layer.norm4, dtype) for layer in self._layers]
        self._upscaling = _Upscaling(sam.mask_decoder, dtype)
        self._grid: tuple[int, int] = self._prompts.image_embedding_size

    def on(self, embedding: Tensor) -> PromptedImage:
        """Compute once, from its embedding (C, h, w), what all prompts on an image share, and take these."""
        tokens = embedding.float().flatten(1).T.contiguous() + self._prompts.no_mask_embed.weight
        queries = self._to_tokens[0].share(tokens)
        image = _SharedImage(tokens.to(self._dtype), self._to_image[0].share(tokens), queries)
        return partial(self._decode, image=image)

    def _decode(
        self, points: Tensor, *, needed: tuple[int, int], min_iou: float, image: _SharedImage
    ) -> DecodedMasks:
        labels = torch.ones((len(points), 1), dtype=torch.int, device=points.device)
        prompts, _ = self._prompts(points=(points[:, None], labels), boxes=None, masks=None)
        own = torch.cat([self._decoder.iou_token.weight, self._decoder.mask_tokens.weight])
        tokens, pixels = self._two_way(torch.cat([own.expand(len(points), -1, -1), prompts], dim=1), image)
        predicted_iou = self._decoder.iou_prediction_head(tokens[:, 0])[:, 1:]
        networks = self._decoder.output_hypernetworks_mlps[1:]
        filters = torch.stack([network(tokens[:, 1 + n]) for n, network in enumerate(networks)], dim=1)

        def logits(passed: Tensor) -> Tensor:
            return self._upscaling(torch.unflatten(pixels, 1, self._grid), filters, passed, needed)

        return DecodedMasks.above(predicted_iou, logits, min_iou)

    def _two_way(self, position: Tensor, image: _SharedImage) -> tuple[Tensor, Tensor]:
        """Meta's ``TwoWayTransformer``: tokens (B, T, C) -> those that answer (B, 4, C), image tokens (B, N, C).

        Token 0 predicts the IoU, three are masks. That of the single mask, which one point does not use, and the
        prompt's own look at the image no more at the end.
        """
        tokens, pixels = position, image.tokens
        for number, layer in enumerate(self._layers):
            to_image, to_tokens = self._to_image[number], self._to_tokens[number]
            if layer.skip_first_layer_pe:
                tokens = layer.norm1(layer.self_attn(q=tokens, k=tokens, v=tokens))
            else:
                asking = tokens + position
                tokens = layer.norm1(tokens + layer.self_attn(q=asking, k=asking, v=tokens))
            asking = tokens + position
            # The first layer sees the one image of all prompts; what comes out is another image for each.
            seen = to_image(asking, pixels) if number else to_image.shared(asking, image.keys)
            tokens = layer.norm2(tokens + seen)
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            asking = tokens + position
            if number:
                pixels = to_tokens(asking, tokens, pixels, self._norms[number])
            else:
                pixels = to_tokens.shared(asking, tokens, pixels, image.queries, self._norms[number])
        answering = [0, *range(2, 1 + self._decoder.num_mask_tokens)]
        tokens, asking = tokens[:, answering], (tokens + position)[:, answering]
        norm = self._decoder.transformer.norm_final_attn
        return norm(tokens + self._to_image_last(asking, pixels)), pixels


class _Norm:
    """A layer norm over the last axis, its weights in the dtype of what it is given."""

    def __init__(self, norm: Any, dtype: torch.dtype):
        self._weight, self._bias, self._eps = norm.weight.to(dtype), norm.bias.to(dtype), norm.eps

    def __call__(self, x: Tensor) -> Tensor:
        return nnf.layer_norm(x, self._weight.shape, self._weight, self._bias, self._eps)


class _Upscaling:
    """Two transposed convolutions with kernel and stride 2: a pixel becomes 2 x 2, so each is a matrix product."""

    def __init__(self, decoder: MaskDecoder, dtype: torch.dtype):
        first, norm, self._activation, second, self._last_activation = decoder.output_upscaling
        self._dtype = dtype
        self._first, self._second = _as_linear(first, dtype), _as_linear(second, dtype)
        self._norm = _Norm(norm, dtype)

    def __call__(self, pixels: Tensor, filters: Tensor, passed: Tensor, needed: tuple[int, int]) -> Tensor:
        """Image tokens (B, h, w, C), filters (B, 3, c), wanted masks (B, 3) -> logits (M, *needed)."""
        rows, columns = (ceil(length / 4) for length in needed)
        found = torch.empty((int(passed.sum()), 4 * rows, 4 * columns), device=pixels.device)
        places = torch.zeros_like(passed, dtype=torch.long)
        places[passed] = torch.arange(len(found), device=pixels.device)
        for prompt in one_by_one(pixels):
            wanted = passed[prompt]
            if not wanted.any():
                continue
            place = places[prompt][wanted]
            for strip in strips(pixels, rows, columns):
                logits = self._logits(pixels[prompt, strip, :columns], filters[prompt].to(self._dtype))
                found[place, 4 * strip.start : 4 * strip.stop] = logits[wanted].float()
        return found[:, : needed[0], : needed[1]]

    def _logits(self, image: Tensor, filters: Tensor) -> Tensor:
        """Image tokens (..., r, w, C) and filters (..., 3, c) -> logits (..., 3, 4 r, 4 w)."""
        fine = torch.unflatten(self._fine(image.flatten(0, -2)), 0, (*image.shape[:-3], -1))
        # Rows and columns of the tokens, of the first 2 x 2, of the second 2 x 2: rows first, then columns.
        tokens = torch.unflatten(filters @ fine.mT, -1, (*image.shape[-3:-1], 2, 2, 2, 2))
        return tokens.movedim((-4, -2), (-5, -4)).flatten(-6, -4).flatten(-3)

    def _fine(self, image: Tensor) -> Tensor:
        """(n, C) -> (n * 16, c); of a token's 16 pixels the rows and columns of the first 2 x 2 come first."""
        fine = nnf.linear(image, *self._first).reshape(4 * len(image), -1)
        fine = nnf.linear(self._activation(self._norm(fine)), *self._second).reshape(16 * len(image), -1)
        activated: Tensor = self._last_activation(fine)
        return activated


def _as_linear(convolution: Any, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Weights (C, c, 2, 2) and bias (c,) as a linear layer's: (4 c, C), (4 c,), by row, column, channel."""
    weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2).to(dtype).contiguous()
    return weight, convolution.bias.repeat(4).to(dtype)
