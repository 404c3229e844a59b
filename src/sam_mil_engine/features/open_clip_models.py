"""Encoders of pathology that open_clip builds: QuiltNet."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..errors import one_line
from ..models.hub import access_error
from ..models.packages import lacks_package
from .torch_encoder import TorchEncoder
from .weights import state_sha256


class ImageHalf(nn.Module):
    """The image half of a CLIP: (B, 3, S, S) -> (B, D), not normalised to length 1."""

    def __init__(self, clip: Any):
        super().__init__()
        self.visual = clip.visual

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, D)."""
        features: Tensor = self.visual(pixels.contiguous())
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
    """Return the image half of a CLIP on the Hugging Face hub with its published weights.

    Parameters
    ----------
    name
        ``OWNER/NAME`` on the hub.
    side, mean, std
        Side to which patches are resized, and normalisation.
    device, precision
        As :func:`~.loading.load_encoder` has them.

    Raises
    ------
    EncoderError
        If open_clip is not installed, or the weights cannot be had or do not fit.
    """
    try:
        import open_clip
    except ImportError as error:
        raise lacks_package(f"hf:{name}", "open_clip", distribution="open_clip_torch") from error
    try:
        clip = open_clip.create_model(f"hf-hub:{name}", require_pretrained=True)
    except Exception as error:  # the hub, its HTTP client and open_clip raise classes with no common base
        raise access_error(name, f"it cannot be loaded ({one_line(error)[:300]})") from error
    model = ImageHalf(clip)
    return TorchEncoder(
        model,
        name=f"hf:{name}",
        version="1",
        weights_sha256=state_sha256(model),
        dim=int(clip.visual.output_dim),
        mean=mean,
        std=std,
        side=side,
        device=device,
        precision=precision,
    )
