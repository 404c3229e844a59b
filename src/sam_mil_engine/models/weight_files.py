"""Files of named tensors, as ``torch.save(model.state_dict())`` writes them. Imports torch when a file is read."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SamMilError

if TYPE_CHECKING:
    from torch import Tensor


def read_weights(
    path: Path, *, error: type[SamMilError], what: str, hint: str, within: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Read name -> tensor on the CPU (``weights_only``: the file cannot run code).

    Parameters
    ----------
    path
        The file.
    error
        Class of the error.
    what
        What the file is called in messages: ``checkpoint file``.
    hint
        What to give instead where it holds something else.
    within
        Names under which the file may hold the table, as files of training do.

    Raises
    ------
    SamMilError
        Of the given class, if the file is missing, damaged, or holds something else.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as problem:
        raise error(f"there is no such {what}", where=path, hint="Check the path") from problem
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as problem:
        reason = " ".join(str(problem).split())[:300] or type(problem).__name__
        raise error(
            f"the {what} cannot be read: {reason}",
            where=path,
            hint=f"The file is damaged, cut off or not a {what}. {hint}",
        ) from problem
    if isinstance(state, Mapping):
        state = next((state[name] for name in within if isinstance(state.get(name), Mapping)), state)
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise error("the file does not hold a plain table of weights", where=path, hint=hint)
    return dict(state)
