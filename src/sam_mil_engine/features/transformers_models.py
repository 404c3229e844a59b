"""Encoders of pathology that transformers builds: Phikon, Phikon-v2, Midnight-12k and Hibou.

Only classes of transformers are built, and no code of a repository is run. Hibou's own classes are DINOv2 with
register tokens, which transformers has too.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import EncoderError, one_line
from ..models.hub import access_error
from ..models.packages import lacks_package
from .torch_encoder import TorchEncoder
from .weights import state_sha256

Architecture = Literal["vit", "dinov2", "dinov2-registers"]
#: Architecture -> class of transformers, and the options of its constructor.
_CLASSES: dict[Architecture, tuple[str, dict[str, object]]] = {
    "vit": ("ViTModel", {"add_pooling_layer": False}),
    "dinov2": ("Dinov2Model", {}),
    "dinov2-registers": ("Dinov2WithRegistersModel", {}),
}


class Tokens(nn.Module):
    """The class token of a transformer, and the mean of its patch tokens where that is asked for."""

    def __init__(self, transformer: Any, *, mean_of_patches: bool):
        super().__init__()
        self.transformer, self._mean_of_patches = transformer, mean_of_patches
        self._before_patches = 1 + int(getattr(transformer.config, "num_register_tokens", 0))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, D), or (B, 2 D) with the mean."""
        tokens: Tensor = self.transformer(pixel_values=pixels.contiguous()).last_hidden_state
        if not self._mean_of_patches:
            return tokens[:, 0]
        return torch.cat([tokens[:, 0], tokens[:, self._before_patches :].mean(dim=1)], dim=1)


def load(
    name: str,
    *,
    architecture: Architecture,
    side: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    mean_of_patches: bool = False,
    device: str = "auto",
    precision: str = "float32",
) -> TorchEncoder:
    """Return a model of transformers on the Hugging Face hub with its published weights.

    Parameters
    ----------
    name
        ``OWNER/NAME`` on the hub.
    architecture
        Which transformer it is.
    side, mean, std
        Side to which patches are resized, and normalisation.
    mean_of_patches
        Whether the mean of the patch tokens follows the class token.
    device, precision
        As :func:`~.loading.load_encoder` has them.

    Raises
    ------
    EncoderError
        If transformers is not installed, or the weights cannot be had or do not fit.
    """
    try:
        import transformers
    except ImportError as error:
        raise lacks_package(f"hf:{name}", "transformers") from error
    class_name, options = _CLASSES[architecture]
    try:
        transformer, found = getattr(transformers, class_name).from_pretrained(
            name, output_loading_info=True, trust_remote_code=False, **options
        )
    except Exception as error:  # the hub, its HTTP client and transformers raise classes with no common base
        raise access_error(name, f"it cannot be loaded ({one_line(error)[:300]})") from error
    misplaced = sorted({*found["missing_keys"], *found["unexpected_keys"], *map(str, found["mismatched_keys"])})
    if misplaced:
        raise EncoderError(
            f"the weights do not fit {class_name}: {', '.join(misplaced[:5])}",
            where=f"https://huggingface.co/{name}",
            hint="Install the version of transformers that this package was tested with (constraints.txt)",
            window_hint="Install another version of the Python package transformers",
        )
    model = Tokens(transformer, mean_of_patches=mean_of_patches)
    width = int(transformer.config.hidden_size)
    return TorchEncoder(
        model,
        name=f"hf:{name}",
        version="1",
        weights_sha256=state_sha256(transformer),
        dim=2 * width if mean_of_patches else width,
        mean=mean,
        std=std,
        side=side,
        device=device,
        precision=precision,
    )
