"""The mask decoder of ``tissue-sam``: Meta's, preceded by what spreads a prompt over the image.

The maps of the prompts, and how much each pixel's embedding is like that at the clicks, are added to the embedding;
convolutions on two grids then let the answer grow to the nearest outlines. The embedding at the clicks also enters
the weights of the masks. Features of stride 4 sharpen the outlines.
"""

from __future__ import annotations

import torch
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional as nnf

from .encoder import FINE, WIDTH
from .prompts import N_MAPS

#: Groups of channels that are compared each for itself: trained to tell parts, objects, regions and pieces apart.
GROUPS = 4
#: What the embedding is compared with: clicks inside, clicks outside, the box. The maps that say where these are.
_ASKED = (0, 3, 7)


class TissueMaskDecoder(MaskDecoder):
    """Meta's mask decoder with prompts that enter in space."""

    def __init__(self) -> None:
        super().__init__(
            transformer_dim=WIDTH,
            transformer=TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=4 * WIDTH, num_heads=4),
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=2 * WIDTH,
        )
        self.halved = nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.spatial = nn.Sequential(
            nn.Conv2d(N_MAPS + len(_ASKED) * GROUPS, WIDTH, 3, stride=2, padding=1),
            nn.GELU(),
            nn.Conv2d(WIDTH, WIDTH, 1),
        )
        self.grow = _Grow()
        self.asked_weights = nn.Linear(WIDTH, WIDTH)
        # most pixels belong to no answer
        self.prior = nn.Parameter(torch.tensor(-2.0))
        self.sharpen = nn.ModuleList([nn.Conv2d(WIDTH, WIDTH // 4, 1), nn.Conv2d(FINE, WIDTH // 8, 1)])

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Embedding (1, 128, h, w), maps (B, N_MAPS, h, w) -> logits (B, 4, 4 h, 4 w), predicted IoU (B, 4)."""
        masks, predicted_iou = self.coarse_masks(
            image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        )
        return nnf.interpolate(masks, scale_factor=2, mode="bilinear", align_corners=False), predicted_iou

    def coarse_masks(
        self, image_embeddings: Tensor, image_pe: Tensor, sparse: Tensor, maps: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`predict_masks` with half as many rows and columns, which is as fine as the features are."""
        embedding, folded = torch.split(image_embeddings, [WIDTH, image_embeddings.shape[1] - WIDTH], dim=1)
        asked, alike = self._compare(embedding, maps)
        pixels = self.grow(self.halved(embedding) + self.spatial(torch.cat([maps, alike], dim=1)))
        grid = pixels.shape[-2:]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(len(maps), -1, -1), sparse], dim=1)
        position = nnf.avg_pool2d(image_pe, 2).expand(len(maps), -1, -1, -1)
        tokens, pixels = self.transformer(pixels, position, tokens)
        pixels = pixels.transpose(1, 2).unflatten(2, grid)
        first, norm, activation, second, last_activation = self.output_upscaling
        middle, last = self.sharpen
        fine = activation(norm(first(pixels) + middle(embedding)))
        fine = last_activation(second(fine) + last(nnf.pixel_shuffle(folded, 2)))
        mask_tokens = tokens[:, 1 : 1 + self.num_mask_tokens] + self.asked_weights(asked)[:, None]
        networks = self.output_hypernetworks_mlps
        filters = torch.stack([network(mask_tokens[:, n]) for n, network in enumerate(networks)], dim=1)
        logits = (filters @ fine.flatten(2)).unflatten(2, fine.shape[-2:]) + self.prior
        return logits, self.iou_prediction_head(tokens[:, 0])

    def _compare(self, embedding: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding at the clicks inside, or in the box (B, C); cosines of each pixel (B, asked * groups, h, w)."""
        places = maps[:, list(_ASKED)].flatten(2)
        total = places.sum(dim=2, keepdim=True)
        means = (places / total.clamp(min=1e-3)) @ embedding[0].flatten(1).T
        there = (total > 1e-3).to(means.dtype)
        units = nnf.normalize(torch.unflatten(means, 2, (GROUPS, -1)), dim=3)
        pixels = nnf.normalize(torch.unflatten(embedding[0].flatten(1), 0, (GROUPS, -1)), dim=1)
        cosines = torch.einsum("bagc,gcn->bagn", units * there[..., None], pixels)
        clicked = there[:, 0] > 0
        like = torch.unflatten(cosines.flatten(1, 2), 2, embedding.shape[-2:])
        return torch.where(clicked, means[:, 0], means[:, 2]), like


class _Grow(nn.Module):
    """A step down and up again, beside the identity: a prompt reaches as far as the tissue it lies in."""

    def __init__(self) -> None:
        super().__init__()
        self.deeper = nn.Sequential(
            _convolution(WIDTH, WIDTH, stride=2), _convolution(WIDTH, WIDTH, dilation=2), _convolution(WIDTH, WIDTH)
        )
        self.after = _convolution(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(B, WIDTH, h, w) -> the same shape."""
        low = nnf.interpolate(self.deeper(x), scale_factor=2, mode="bilinear", align_corners=False)
        out: Tensor = x + self.after(x + low)
        return out


def _convolution(channels: int, width: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride=stride, padding=dilation, dilation=dilation),
        nn.GroupNorm(width // 16, width),
        nn.GELU(),
    )
