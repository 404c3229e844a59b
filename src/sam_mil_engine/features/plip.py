"""PLIP: CLIP ViT-B/32 trained on pathology (Huang et al. 2023): its image half, 512 numbers per patch."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..models.encoders import ENCODERS
from ..models.normalisation import NORMALISATIONS
from ..models.packages import lacks_package
from .torch_encoder import TorchEncoder
from .weights import find_state, fit_state

#: The image half of CLIP; the words' half is in the file and is not used.
_USED = ("vision_model.", "visual_projection.")
#: Numbers 0, 1, 2, ...: in files that older versions of transformers wrote.
_COUNTED = "vision_model.embeddings.position_ids"


class PlipImages(nn.Module):
    """The image half: (B, 3, 224, 224) -> (B, 512), the projected class token."""

    def __init__(self) -> None:
        super().__init__()
        try:
            from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
        except ImportError as error:
            raise lacks_package("PLIP", "transformers") from error
        # transformers' defaults are the shape of ViT-B/32
        self.clip: Any = CLIPVisionModelWithProjection(CLIPVisionConfig())

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, 224, 224) -> (B, 512)."""
        embeds: Tensor = self.clip(pixel_values=pixels.contiguous()).image_embeds
        return embeds


def load(path: str = "", *, device: str = "auto", precision: str = "float32") -> TorchEncoder:
    """Return the encoder with the weights in ``path``, or the published ones in the folder of weight files.

    Raises
    ------
    EncoderError
        If transformers is not installed, or the weights are missing, damaged or of another model.
    """
    model = PlipImages()
    state, file, digest = find_state(path, ENCODERS["plip"])
    used = {name: value for name, value in state.items() if name.startswith(_USED) and name != _COUNTED}
    fit_state(model.clip, used, path=file, name="PLIP")
    mean, std = NORMALISATIONS["OpenAI CLIP"]
    return TorchEncoder(
        model,
        name="plip",
        version="1",
        weights_sha256=digest,
        dim=512,
        mean=mean,
        std=std,
        side=224,
        device=device,
        precision=precision,
    )
