"""The order of patches by one of their numbers: what the report and the window show as strips."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

#: Patches in a strip.
STRIP = 8

End = Literal["most", "least"]


def ranked(values: npt.ArrayLike, end: End = "most") -> npt.NDArray[np.int64]:
    """(N,) numbers -> (N,) positions, those with the most or the least first; equal ones keep their order."""
    numbers = np.asarray(values)
    return np.argsort(-numbers if end == "most" else numbers, kind="stable").astype(np.int64)
