"""SAM 2.1 with the interface of Meta's ``Sam``, so that prompts and automatic masks take it as they take a SAM.

Its image encoder gives three maps, of a quarter, an eighth and a sixteenth of the input's side. They travel as one
array: the pixels of the finer ones become channels of the coarsest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from .names import renamed
from .shapes import Shape, configuration

#: Mean and standard deviation of ImageNet's colours, 0 to 255.
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Sam2(nn.Module):
    """A ``Sam2Model`` of ``transformers`` seen as a ``Sam``.

    Parameters
    ----------
    model
        The model.
    """

    mask_threshold = 0.0
    image_format = "RGB"
    #: Images are stretched to the square input, not padded.
    stretches = True

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, model: Any):
        super().__init__()
        self.model = model
        self.register_buffer("pixel_mean", torch.tensor(_MEAN).view(-1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(_STD).view(-1, 1, 1), persistent=False)
        self.image_encoder, self.prompt_encoder, self.mask_decoder = _Images(model), _Prompts(model), _Masks(model)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.model.no_memory_embedding.device  # type: ignore[no-any-return]

    def preprocess(self, pixels: Tensor) -> Tensor:
        """(3, S, S) RGB of 0 to 255 -> the normalised input."""
        return (pixels - self.pixel_mean) / self.pixel_std

    def postprocess_masks(
        self, masks: Tensor, input_size: tuple[int, int], original_size: tuple[int, int]
    ) -> Tensor:
        """Logits (B, M, h, w) of the stretched image -> (B, M, *original_size)."""
        del input_size
        return nnf.interpolate(masks, original_size, mode="bilinear", align_corners=False)


class _Images:
    """The image encoder."""

    def __init__(self, model: Any):
        self._model = model
        self.img_size: int = model.prompt_encoder.input_image_size

    def __call__(self, pixels: Tensor) -> Tensor:
        """Normalised images (B, 3, S, S) -> the three maps as one, (B, 4 C, S / 16, S / 16)."""
        fine, middle, coarse = self._model.get_image_embeddings(pixels)
        return torch.cat([nnf.pixel_unshuffle(fine, 4), nnf.pixel_unshuffle(middle, 2), coarse], dim=1)


class _Prompts:
    """The prompt encoder."""

    def __init__(self, model: Any):
        self._model = model

    def __call__(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Points (B, N, 2) with labels (B, N), boxes (B, 4), masks (1, 1, 4 h, 4 w) -> sparse (B, T, C), dense."""
        coords, labels = (None, None) if points is None else (points[0][None], points[1][None])
        corners = None if boxes is None else boxes.reshape(1, -1, 4)
        sparse, dense = self._model.prompt_encoder(
            input_points=coords, input_labels=labels, input_boxes=corners, input_masks=masks
        )
        return sparse[0], dense

    def get_dense_pe(self) -> Tensor:
        """Positional encoding of the coarsest map, (1, C, h, w)."""
        position: Tensor = self._model.get_image_wide_positional_embeddings()
        return position


class _Masks:
    """The mask decoder."""

    def __init__(self, model: Any):
        self._model = model

    def __call__(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Decode B prompts on one image (1, 4 C, h, w): logits (B, M, 4 h, 4 w) and predicted IoU (B, M)."""
        channels = image_pe.shape[1]
        fine, middle, coarse = torch.split(image_embeddings, [2 * channels, channels, channels], dim=1)
        logits, predicted_iou, _, _ = self._model.mask_decoder(
            image_embeddings=coarse,
            image_positional_embeddings=image_pe,
            sparse_prompt_embeddings=sparse_prompt_embeddings[None],
            dense_prompt_embeddings=dense_prompt_embeddings,
            multimask_output=multimask_output,
            high_resolution_features=[nnf.pixel_shuffle(fine, 4), nnf.pixel_shuffle(middle, 2)],
        )
        return logits[0], predicted_iou[0]


def build_sam2(shape: Shape, state: Mapping[str, Tensor]) -> Sam2:
    """Build a SAM 2.1 with Meta's weights, in evaluation mode.

    Raises
    ------
    ImportError
        If ``transformers`` is not installed.
    RuntimeError, KeyError
        If weights are missing, of another shape, or unknown.
    """
    from transformers import Sam2Model

    model = Sam2Model(configuration(shape))
    model.load_state_dict(renamed(state), strict=True)
    return Sam2(model).eval()
