"""numpy's indexing for arrays that are read from a file: which window a key needs, and what it takes of it."""

from __future__ import annotations

from types import EllipsisType
from typing import Any

import numpy as np


def expand_key(key: Any) -> tuple[Any, Any, Any]:
    """Fill a key up to three axes; an ellipsis stands for all that are not named."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(isinstance(part, EllipsisType) for part in parts):
        place = next(number for number, part in enumerate(parts) if isinstance(part, EllipsisType))
        filler = (slice(None),) * (3 - (len(parts) - 1))
        parts = parts[:place] + filler + parts[place + 1 :]
    if len(parts) > 3:
        raise IndexError(f"too many indices: the array has 3 axes, {len(parts)} were given")
    rows, columns, channels = parts + (slice(None),) * (3 - len(parts))
    return rows, columns, channels


def window_of(index: Any, length: int) -> tuple[int, int, Any]:
    """Bounds of what an index of one axis selects, and the index inside these bounds."""
    if isinstance(index, slice):
        numbers = range(*index.indices(length))
        if len(numbers) == 0:
            return 0, 0, slice(None)
        low, high = min(numbers[0], numbers[-1]), max(numbers[0], numbers[-1])
        stop = numbers[-1] - low + (1 if numbers.step > 0 else -1)
        return low, high + 1, slice(numbers[0] - low, stop if stop >= 0 else None, numbers.step)
    chosen = np.asarray(index)
    if chosen.dtype == bool:
        chosen = np.flatnonzero(chosen)
    if chosen.size and not (-length <= chosen.min() and chosen.max() < length):
        raise IndexError(f"index {index} is out of bounds for an axis of {length}")
    chosen = np.where(chosen < 0, chosen + length, chosen)
    if chosen.size == 0:
        return 0, 0, chosen.astype(np.intp)
    low = int(chosen.min())
    local = chosen - low
    return low, int(chosen.max()) + 1, int(local) if local.ndim == 0 else local
