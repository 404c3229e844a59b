"""A small Sam of Meta's own class, whose masks follow the prompts: fast, and many of them."""

from __future__ import annotations

from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT, PromptEncoder, Sam
from torch import Tensor, nn

SIDE, GRID, CHANNELS = 256, 16, 64


class DiscDecoder(nn.Module):
    """Three nested discs around the first prompted point, a little bent by the image.

    The inner product of two positional encodings falls with their distance: that is the disc.
    """

    def forward(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        closeness = torch.einsum("bc,chw->bhw", sparse_prompt_embeddings[:, 0], image_pe[0]) / (CHANNELS / 2)
        bent = closeness + 0.1 * image_embeddings.mean(dim=1)
        levels = torch.tensor([0.2, 0.5, 0.8] if multimask_output else [0.5])
        fine = nn.functional.interpolate(bent[:, None], scale_factor=4, mode="bilinear", align_corners=False)
        size = fine.flatten(1).mean(dim=1, keepdim=True)
        return 40 * (fine - levels[None, :, None, None]), (0.95 - levels[None] / 2 + size / 10)


def build_small_sam() -> Sam:
    """Meta's classes with a small image encoder of random weights; the same every time."""
    torch.manual_seed(0)
    sam = Sam(
        image_encoder=ImageEncoderViT(
            depth=2,
            embed_dim=16,
            img_size=SIDE,
            mlp_ratio=2,
            num_heads=2,
            patch_size=SIDE // GRID,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            global_attn_indexes=(1,),
            window_size=7,
            out_chans=CHANNELS,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=CHANNELS,
            image_embedding_size=(GRID, GRID),
            input_image_size=(SIDE, SIDE),
            mask_in_chans=4,
        ),
        mask_decoder=DiscDecoder(),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )
    with torch.no_grad():
        for embedding in sam.prompt_encoder.point_embeddings:
            embedding.weight.zero_()
    return sam.eval()
