"""Any model of timm as an encoder, by its name in timm or on the Hugging Face hub."""

from __future__ import annotations

import difflib
from typing import Any, Literal

import timm
import timm.data
import timm.layers
import torch
from torch import Tensor, nn

from ..errors import EncoderError
from .hub import GATED_IN_WINDOW, HUB_MODELS, HubModel
from .torch_encoder import TorchEncoder
from .weights import state_sha256

Source = Literal["timm", "hf"]


def load(name: str, *, source: Source, device: str = "auto", precision: str = "float32") -> TorchEncoder:
    """Return a timm model with its published weights and its own normalisation, without its classifier.

    Patches keep their size, except for models of one fixed size (most vision transformers), to which they are
    resized.

    Raises
    ------
    EncoderError
        If there is no such model, or its weights are neither on this machine nor to be had.
    """
    asked = f"{source}:{name}"
    if source == "timm" and not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise EncoderError(
            f"timm has no model {name!r}",
            hint=f"Did you mean {', '.join(near)}?" if near else "timm.list_models() lists the names",
        )
    known = HUB_MODELS.get(asked)
    # timm's models have more attributes than torch knows of.
    model: Any = _pretrained(name if source == "timm" else f"hf-hub:{name}", asked, known)
    config = timm.data.resolve_model_data_config(model)
    fixed = known is not None or bool(model.pretrained_cfg.get("fixed_input_size"))
    dim = int(getattr(model, "head_hidden_size", None) or model.num_features)
    with_patches = known is not None and known.mean_of_patches
    return TorchEncoder(
        ClassAndPatches(model) if with_patches else model,
        name=asked,
        version="1",
        weights_sha256=state_sha256(model),
        dim=2 * dim if with_patches else dim,
        mean=(known and known.mean) or config["mean"],
        std=(known and known.std) or config["std"],
        side=int(config["input_size"][-1]) if fixed else None,
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


def _pretrained(model_name: str, asked: str, known: HubModel | None) -> nn.Module:
    layers = {"SwiGLUPacked": timm.layers.SwiGLUPacked, "SiLU": nn.SiLU}
    arguments = {} if known is None else known.arguments
    named = {name: layers.get(str(value), value) for name, value in arguments.items()}
    try:
        model: nn.Module = timm.create_model(model_name, pretrained=True, num_classes=0, **named)
    except Exception as error:  # the hub, its HTTP client and timm raise classes that have no base in common
        raise EncoderError(
            f"the model {asked} cannot be loaded: {' '.join(str(error).split())[:300] or type(error).__name__}",
            hint="Its weights come from the Hugging Face hub: check the name, the network and your access"
            f" (`hf auth login` for gated models). Without a network, run `hf download {_repository(model_name)}`"
            " elsewhere, copy it to ~/.cache/huggingface (or where HF_HOME says), and set HF_HUB_OFFLINE=1",
            window_hint=GATED_IN_WINDOW,
        ) from error
    return model


def _repository(model_name: str) -> str:
    """Name of the repository that holds the weights."""
    if model_name.startswith("hf-hub:"):
        return model_name.removeprefix("hf-hub:")
    config = timm.get_pretrained_cfg(model_name, allow_unregistered=True)
    return str((config and config.hf_hub_id) or f"timm/{model_name}")
