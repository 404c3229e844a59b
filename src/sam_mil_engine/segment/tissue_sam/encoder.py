"""The image encoder of ``tissue-sam``: the first six stages of EfficientNet-Lite0, and a neck that joins them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

#: Pixels of the input's side; the embedding has an eighth of them.
SIDE = 512
#: Channels of the embedding, and of the finer features that travel with it.
WIDTH, FINE = 64, 16
#: The trunk's outputs at strides 4, 8, 16 and 32, and the stage after which each is taken.
_CHANNELS, _STAGES = (24, 40, 112, 192), (1, 2, 4, 5)
#: Pixels 0..255 -> -1..1, as the trunk was trained.
PIXEL_MEAN = PIXEL_STD = (127.5, 127.5, 127.5)


def normalised(rgb: npt.NDArray[np.uint8]) -> Tensor:
    """(h, w, 3) uint8 -> (1, 3, h, w) float32."""
    pixels = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float()
    return (pixels - PIXEL_MEAN[0]) / PIXEL_STD[0]


class Trunk(nn.Module):
    """EfficientNet-Lite0 up to its sixth stage.

    Parameters
    ----------
    classifier
        timm's ``tf_efficientnet_lite0``, of which the parts are taken; a new one without weights if left out.
    """

    def __init__(self, classifier: Any | None = None):
        super().__init__()
        if classifier is None:
            import timm

            classifier = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        self.conv_stem, self.bn1 = classifier.conv_stem, classifier.bn1
        self.blocks = nn.ModuleList(classifier.blocks[: _STAGES[-1] + 1])

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """(B, 3, S, S) -> features of stride 4, 8, 16 and 32."""
        first, second = self.shallow(pixels)
        return [first, second, *self.deep(second)]

    def shallow(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) -> features of stride 4 and 8: the stages that stay as they were trained on photographs."""
        first = self.bn1(self.conv_stem(pixels))
        for stage in self.blocks[: _STAGES[0] + 1]:
            first = stage(first)
        return first, self.blocks[_STAGES[1]](first)

    def deep(self, x: Tensor) -> list[Tensor]:
        """Features of stride 8 -> those of stride 16 and 32: the stages that are trained on."""
        found = []
        for number in range(_STAGES[1] + 1, len(self.blocks)):
            x = self.blocks[number](x)
            if number in _STAGES:
                found.append(x)
        return found


class Neck(nn.Module):
    """Four strides -> one embedding at stride 8, and features of stride 4 folded into further channels of it."""

    def __init__(self, width: int = 96):
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(_CHANNELS[0], FINE, 1), _Norm(FINE))
        self.sides = nn.ModuleList(
            nn.Conv2d(channels, wide, 1)
            for channels, wide in zip(_CHANNELS, (WIDTH, WIDTH, width, width), strict=True)
        )
        self.merges = nn.ModuleList([_Residual(width), _Residual(width), _Residual(WIDTH)])
        self.narrow = nn.Conv2d(width, WIDTH, 1)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Features of stride 4 to 32 -> (B, WIDTH + 4 FINE, S / 8, S / 8)."""
        x = self.sides[3](levels[3])
        x = self.merges[0](x + nnf.adaptive_avg_pool2d(x, 1))
        x = self.merges[1](_up(x) + self.sides[2](levels[2]))
        x = _up(self.narrow(x)) + self.sides[1](levels[1]) + self.sides[0](nnf.avg_pool2d(levels[0], 2))
        return torch.cat([self.merges[2](x), nnf.pixel_unshuffle(self.fine(levels[0]), 2)], dim=1)


class TissueEncoder(nn.Module):
    """Trunk and neck, in the place of Meta's ``ImageEncoderViT``."""

    img_size = SIDE

    def __init__(self, classifier: Any | None = None):
        super().__init__()
        self.trunk = Trunk(classifier)
        self.neck = Neck()

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, 512, 512) -> (B, 128, 64, 64)."""
        embedding: Tensor = self.neck(self.trunk(pixels))
        return embedding


class _Norm(nn.GroupNorm):
    """Layer norm over channels and space of each image, in groups of 16 channels."""

    def __init__(self, channels: int):
        super().__init__(max(1, channels // 16), channels)


class _Residual(nn.Module):
    """Two 3 x 3 convolutions beside the identity."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), _Norm(width), nn.GELU(), nn.Conv2d(width, width, 3, padding=1)
        )
        self.norm = _Norm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        out: Tensor = self.norm(x + self.body(x))
        return out


def _up(x: Tensor) -> Tensor:
    return nnf.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
