"""CONCH (Lu et al. 2024), built by its authors' package: a part of it is in no library."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..errors import EncoderError
from ..models.hub import cached_weights, fetch_repository
from ..models.packages import how_to_install
from .torch_encoder import TorchEncoder
from .weights import state_sha256

#: What the authors' package calls the model.
_MODEL = "conch_ViT-B-16"


class ImageHalf(nn.Module):
    """The image half, without the projection for comparing with text, as the authors advise for features."""

    def __init__(self, conch: Any):
        super().__init__()
        self.conch = conch

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, 448, 448) -> (B, 512)."""
        features: Tensor = self.conch.encode_image(pixels.contiguous(), proj_contrast=False, normalize=False)
        return features


def load(
    name: str,
    *,
    side: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    device: str = "auto",
    precision: str = "float32",
) -> TorchEncoder:
    """Return CONCH with its published weights; the parameters are those of :mod:`.open_clip_models`.

    Raises
    ------
    EncoderError
        If the authors' package is not installed, or the weights cannot be had.
    """
    try:
        from conch.open_clip_custom import create_model_from_pretrained
    except ImportError as error:
        raise EncoderError(
            "CONCH needs its authors' package conch",
            hint=how_to_install("conch"),
            window_hint="Install https://github.com/mahmoodlab/CONCH in napari's environment and restart napari",
        ) from error
    weights = cached_weights(name, "conch") or fetch_repository(name, "conch")
    conch, _ = create_model_from_pretrained(_MODEL, checkpoint_path=str(weights))
    return TorchEncoder(
        ImageHalf(conch),
        name=f"hf:{name}",
        version="1",
        weights_sha256=state_sha256(conch),
        dim=512,
        mean=mean,
        std=std,
        side=side,
        device=device,
        precision=precision,
    )
