"""CTransPath's stem (Wang et al. 2022): convolutions in place of the Swin Transformer's patch embedding."""

from __future__ import annotations

from typing import Any

from timm.layers import to_2tuple
from torch import Tensor, nn


class ConvolutionStem(nn.Module):
    """Two convolutions that halve the image, and one that makes its channels those of the transformer.

    The place of its weights is that of the published files: ``proj.0`` to ``proj.6``.
    """

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 4,
        in_chans: int = 3,
        embed_dim: int = 96,
        norm_layer: type[nn.Module] | None = None,
        **_: Any,  # what else timm tells a patch embedding
    ):
        super().__init__()
        narrow, wide = embed_dim // 8, embed_dim // 4
        height, width = to_2tuple(img_size)
        self.grid_size = (height // patch_size, width // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        self.proj = nn.Sequential(
            nn.Conv2d(in_chans, narrow, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(inplace=True),
            nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
            nn.Conv2d(wide, embed_dim, 1),
        )
        self.norm = nn.Identity() if norm_layer is None else norm_layer(embed_dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, S / 4, S / 4, D)."""
        tokens: Tensor = self.norm(self.proj(pixels).permute(0, 2, 3, 1))
        return tokens
