"""Any model of timm as an encoder, by its name in timm or on the Hugging Face hub."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import timm
import timm.data
import timm.layers
import torch
from torch import Tensor, nn

from ..errors import EncoderError
from ..models.hub import GATED_IN_WINDOW
from .convolution_stem import ConvolutionStem
from .torch_encoder import TorchEncoder
from .weights import state_sha256


def load_from_timm(name: str, *, device: str = "auto", precision: str = "float32") -> TorchEncoder:
    """Return a timm model by its name in timm; see :func:`load_from_hub`.

    Raises
    ------
    EncoderError
        If there is no such model, or its weights are neither on this machine nor to be had.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise EncoderError(
            f"timm has no model {name!r}",
            hint=f"Did you mean {', '.join(near)}?" if near else "timm.list_models() lists the names",
        )
    model = create_pretrained(name, f"timm:{name}")
    fixed = bool(model.pretrained_cfg.get("fixed_input_size"))
    return _encoder(model, f"timm:{name}", fixed=fixed, device=device, precision=precision)


def load_from_hub(
    name: str,
    *,
    arguments: Mapping[str, object] | None = None,
    side: int | None = None,
    mean_of_patches: bool = False,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    device: str = "auto",
    precision: str = "float32",
) -> TorchEncoder:
    """Return a timm model on the Hugging Face hub with its weights and normalisation, without its classifier.

    Patches keep their size, except for models of one fixed size (most vision transformers), to which they are
    resized.

    Parameters
    ----------
    name
        ``OWNER/NAME`` on the hub.
    arguments
        What its authors tell to pass to ``timm.create_model``; layers by their name.
    side
        Patches are resized to this side, whatever its configuration says.
    mean_of_patches
        Whether the feature is the class token and the mean of the patch tokens (else what timm pools).
    mean, std
        Its normalisation, where its authors state it apart from its configuration.
    device, precision
        As :func:`~.loading.load_encoder` has them.

    Raises
    ------
    EncoderError
        If there is no such model, or its weights are neither on this machine nor to be had.
    """
    model = create_pretrained(f"hf-hub:{name}", f"hf:{name}", arguments)
    return _encoder(
        model,
        f"hf:{name}",
        fixed=bool(model.pretrained_cfg.get("fixed_input_size")),
        side=side,
        mean_of_patches=mean_of_patches,
        mean=mean,
        std=std,
        device=device,
        precision=precision,
    )


def _encoder(
    model: Any,  # timm's models have more attributes than torch knows of
    name: str,
    *,
    fixed: bool,
    side: int | None = None,
    mean_of_patches: bool = False,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    device: str,
    precision: str,
) -> TorchEncoder:
    config = timm.data.resolve_model_data_config(model)
    dim = int(getattr(model, "head_hidden_size", None) or model.num_features)
    return TorchEncoder(
        ClassAndPatches(model) if mean_of_patches else model,
        name=name,
        version="1",
        weights_sha256=state_sha256(model),
        dim=2 * dim if mean_of_patches else dim,
        mean=mean or config["mean"],
        std=std or config["std"],
        side=side or (int(config["input_size"][-1]) if fixed else None),
        device=device,
        precision=precision,
    )


class ClassAndPatches(nn.Module):
    """A vision transformer whose feature is its class token, followed by the mean of its patch tokens."""

    def __init__(self, transformer: Any):
        super().__init__()
        self.transformer = transformer

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, 2 D)."""
        tokens: Tensor = self.transformer.forward_features(pixels)
        return torch.cat([tokens[:, 0], tokens[:, self.transformer.num_prefix_tokens :].mean(dim=1)], dim=1)


def create_pretrained(model_name: str, asked: str, arguments: Mapping[str, object] | None = None) -> Any:
    """Create a model of timm with its published weights; ``asked`` is its name in messages."""
    layers = {
        "SwiGLUPacked": timm.layers.SwiGLUPacked,
        "SiLU": nn.SiLU,
        "ConvolutionStem": ConvolutionStem,
    }
    named = {name: layers.get(str(value), value) for name, value in (arguments or {}).items()}
    try:
        return timm.create_model(model_name, pretrained=True, num_classes=0, **named)
    except Exception as error:  # the hub, its HTTP client and timm raise classes that have no base in common
        raise EncoderError(
            f"the model {asked} cannot be loaded: {' '.join(str(error).split())[:300] or type(error).__name__}",
            hint="Its weights come from the Hugging Face hub: check the name, the network and your access"
            f" (`hf auth login` for gated models). Without a network, run `hf download {_repository(model_name)}`"
            " elsewhere, copy it to ~/.cache/huggingface (or where HF_HOME says), and set HF_HUB_OFFLINE=1",
            window_hint=GATED_IN_WINDOW,
        ) from error


def _repository(model_name: str) -> str:
    """Name of the repository that holds the weights."""
    if model_name.startswith("hf-hub:"):
        return model_name.removeprefix("hf-hub:")
    config = timm.get_pretrained_cfg(model_name, allow_unregistered=True)
    return str((config and config.hf_hub_id) or f"timm/{model_name}")
