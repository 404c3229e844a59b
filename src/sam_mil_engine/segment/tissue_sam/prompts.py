"""The prompts of ``tissue-sam``: Meta's tokens, and the same prompts as maps, so that they enter in space.

A small decoder that knows prompts by tokens alone answers all of them with the whole piece of tissue.
"""

from __future__ import annotations

import torch
from segment_anything.modeling import PromptEncoder
from torch import Tensor
from torch.nn import functional as nnf

from .encoder import SIDE, WIDTH

#: Widths of the Gaussians around clicks, in pixels of the embedding.
_WIDTHS = (0.8, 2.5, 8.0)
#: Maps: clicks inside, clicks outside (each of every width), the box and an ellipse in it, an earlier mask.
N_MAPS = 2 * len(_WIDTHS) + 3
#: Meta's labels of prompts; 2 and 3 are the corners of a box.
_OUTSIDE, _INSIDE, _TOP_LEFT, _BOTTOM_RIGHT = 0, 1, 2, 3


class TissuePromptEncoder(PromptEncoder):
    """Meta's prompt encoder, whose dense embedding is (B, ``N_MAPS``, 64, 64): the prompts drawn as maps."""

    def __init__(self) -> None:
        grid = SIDE // 8
        super().__init__(
            embed_dim=WIDTH, image_embedding_size=(grid, grid), input_image_size=(SIDE, SIDE), mask_in_chans=4
        )
        # an earlier mask is drawn as a map, and there is nothing to learn of one that is not there
        del self.mask_downscaling, self.no_mask_embed

    def forward(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """As Meta's: points (B, N, 2) with labels (B, N), boxes (B, 4), masks (B, 1, 256, 256) as logits.

        Returns
        -------
        sparse
            (B, tokens, 64).
        dense
            (B, N_MAPS, 64, 64).
        """
        batch, device = self._get_batch_size(points, boxes, masks), self._get_device()
        coords, labels = torch.zeros((batch, 0, 2), device=device), torch.zeros((batch, 0), device=device)
        if points is not None:
            coords, labels = points[0].float(), points[1].float()
        if boxes is not None:
            corners = boxes.reshape(-1, 2, 2).float()
            names = torch.tensor([_TOP_LEFT, _BOTTOM_RIGHT], device=device, dtype=labels.dtype)
            coords = torch.cat([coords, corners], dim=1)
            labels = torch.cat([labels, names.expand(len(corners), -1)], dim=1)
        sparse = self.pe_layer.forward_with_coords(coords + 0.5, self.input_image_size)
        kinds = torch.stack([embedding.weight[0] for embedding in self.point_embeddings])
        known = (labels >= 0)[..., None]
        sparse = torch.where(known, sparse, 0) + torch.where(
            known, kinds[labels.long().clamp(min=0)], self.not_a_point_embed.weight
        )
        return sparse, torch.cat(
            [*self._clicks(coords, labels), self._box(coords, labels), self._mask(masks, batch)], 1
        )

    def _clicks(self, coords: Tensor, labels: Tensor) -> list[Tensor]:
        """Gaussians (B, widths, h, w) around the clicks inside, and around those outside."""
        rows, columns = self._axes()
        scale = self.image_embedding_size[0] / self.input_image_size[0]
        at = (coords + 0.5) * scale
        widths = torch.tensor(_WIDTHS, device=coords.device)[None, None, :, None]
        down, across = (
            torch.exp(-(((axis - at[..., dim, None, None]) / widths) ** 2) / 2)
            for axis, dim in ((rows, 1), (columns, 0))
        )
        found = []
        for label in (_INSIDE, _OUTSIDE):
            peaks = down[..., :, None] * across[..., None, :] * (labels == label)[..., None, None, None]
            found.append(peaks.amax(dim=1) if peaks.shape[1] else peaks.sum(dim=1))
        return found

    def _box(self, coords: Tensor, labels: Tensor) -> Tensor:
        """(B, 2, h, w): 1 in the box, and a Gaussian as wide as it; 0 where there is none."""
        rows, columns = self._axes()
        scale = self.image_embedding_size[0] / self.input_image_size[0]
        first, last = (
            (coords * (labels == label)[..., None]).sum(dim=1) * scale for label in (_TOP_LEFT, _BOTTOM_RIGHT)
        )
        there = (labels == _TOP_LEFT).any(dim=1).float()[:, None, None]
        half, middle = ((last - first) / 2).clamp(min=0.5), (first + last) / 2
        v = (rows - middle[:, 1:]) / half[:, 1:]
        u = (columns - middle[:, :1]) / half[:, :1]
        inside = (v.abs() <= 1).float()[:, :, None] * (u.abs() <= 1).float()[:, None, :]
        ellipse = torch.exp(-(v**2))[:, :, None] * torch.exp(-(u**2))[:, None, :]
        return torch.stack([inside * there, ellipse * there], dim=1)

    def _mask(self, masks: Tensor | None, batch: int) -> Tensor:
        """(B, 1, h, w): an earlier mask from -1 to 1, 0 where there is none."""
        if masks is None:
            return torch.zeros((batch, 1, *self.image_embedding_size), device=self._get_device())
        return nnf.adaptive_avg_pool2d(torch.tanh(masks.float() / 2), self.image_embedding_size)

    def _axes(self) -> tuple[Tensor, Tensor]:
        """Middles of the embedding's rows and columns."""
        height, width = self.image_embedding_size
        device = self._get_device()
        return torch.arange(height, device=device) + 0.5, torch.arange(width, device=device) + 0.5
