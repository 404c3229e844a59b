"""Features in ``.pt`` files, as CLAM and its relatives keep them: one tensor (N, D), and no code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import MALFORMED, BagError, reason
from ..files import atomic_path

_DAMAGED: tuple[type[Exception], ...] = (OSError, pickle.UnpicklingError, *MALFORMED)


def load_pt(path: Path) -> npt.NDArray[Any]:
    """Read the tensor of a ``.pt`` file; bfloat16 becomes float32.

    Raises
    ------
    BagError
        If the file is missing or damaged, holds anything but a tensor, or a tensor larger than what it stores.
    """
    import torch

    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        raise BagError(
            f"the features cannot be read ({reason(error)})",
            where=path,
            hint="A .pt file must hold nothing but a tensor; copy it again from its source",
        ) from error
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
        raise BagError(
            f"holds {_described(tensor)}, not a tensor",
            where=path,
            hint="Save the features alone: torch.save(features, file), a tensor of (patches, numbers)",
        )
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise BagError(
            f"claims the shape {tuple(tensor.shape)}, but stores fewer values",
            where=path,
            hint="The file is damaged or malicious; copy it again from its source",
        )
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    numbers: npt.NDArray[Any] = tensor.detach().resolve_conj().resolve_neg().numpy()
    return numbers


def _described(value: object) -> str:
    """Name what a file holds in place of a tensor, with its keys or its length."""
    if isinstance(value, dict):
        names = ", ".join(map(str, list(value)[:8])) + (", ..." if len(value) > 8 else "")
        return f"a dictionary with the keys {names}" if value else "an empty dictionary"
    if isinstance(value, list | tuple):
        kinds = ", ".join(sorted({type(item).__name__ for item in value}))
        return f"a {type(value).__name__} of {len(value)} ({kinds or 'empty'})"
    return f"a {type(value).__name__}"


def save_pt(path: Path, features: npt.NDArray[np.floating]) -> None:
    """Write features (N, D) as a tensor; float16 becomes float32, which all of these tools expect."""
    import torch

    with atomic_path(path) as temporary:
        torch.save(torch.from_numpy(np.array(features, dtype=np.float32)), temporary)
