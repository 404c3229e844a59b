"""How far a training is, as a file that it goes on from: after a kill at any moment, with the same numbers."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..errors import ModelError
from ..files import atomic_path
from ..mil.aggregator import Aggregator

Weights = dict[str, Any]


def save_progress(
    file: Path | None,
    model: Aggregator,
    optimizer: torch.optim.Optimizer,
    *,
    stage: str,
    history: Sequence[dict[str, Any]],
    best: Weights,
) -> None:
    """Write the state after an epoch of ``stage``; None as the file writes nothing."""
    if file is None:
        return
    state = {
        "stage": stage,
        "model": model.state_dict(),
        "best": best,
        "optimizer": optimizer.state_dict(),
        "history": list(history),
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }
    with atomic_path(file) as temporary:
        torch.save(state, temporary)


def read_progress(file: Path | None) -> dict[str, Any] | None:
    """Read the state; None where there is no file. Raises :class:`ModelError` if it is damaged."""
    if file is None or not file.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return {name: state[name] for name in ("stage", "model", "best", "optimizer", "history", "rng", "cuda_rng")}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise _damaged(file, error) from error


def restore(
    state: dict[str, Any], model: Aggregator, optimizer: torch.optim.Optimizer, file: Path | None
) -> Weights:
    """Put weights, optimiser and random numbers back; return the best weights of the stage so far."""
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda_rng"])
        best: Weights = state["best"]
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise _damaged(file, error) from error
    return best


def _damaged(file: Path | None, error: BaseException) -> ModelError:
    reason = str(error).strip().splitlines()[0]
    return ModelError(
        f"the training cannot continue from here ({reason})",
        where=file,
        hint="Move it elsewhere to train from the start, or choose another output folder",
    )
