"""Reading the tables of weights of encoders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import EncoderError
from ..models.card import ModelCard
from ..models.files import file_sha256
from ..models.weight_files import read_weights


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a file of named tensors on the CPU (``weights_only``: it cannot run code).

    Raises
    ------
    EncoderError
        If the file is missing, damaged, or holds something else.
    """
    hint = "Fetch the file again, or save model.state_dict() of the model"
    return read_weights(path, error=EncoderError, what="weights file", hint=hint)


def find_state(path: str, published: ModelCard) -> tuple[dict[str, Tensor], Path, str]:
    """Return the weights in ``path``, or the published ones where it is empty; their file and its SHA-256.

    Raises
    ------
    EncoderError
        If the file is missing, damaged, or holds something else.
    """
    if path:
        file = Path(path).expanduser()
        state = read_state(file)
        return state, file, file_sha256(file)
    file, digest = published.find(error=EncoderError)
    return read_state(file), file, digest


def fit_state(model: nn.Module, state: Mapping[str, Tensor], *, path: Path, name: str) -> None:
    """Load weights that must fit a model exactly.

    Raises
    ------
    EncoderError
        If one is missing, left over or of another shape.
    """
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise EncoderError(
            f"the weights do not fit {name}: {' '.join(str(error).split())[:300]}",
            where=path,
            hint=f"Give a weights file of {name}",
        ) from error


def state_sha256(model: nn.Module) -> str:
    """SHA-256 over the names and values of a model's weights, whatever file they came from."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
