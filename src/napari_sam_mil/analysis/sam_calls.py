"""Functions that the worker process runs for the Prompts dock. It caches the SAM, so napari never loads torch."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sam_mil_engine.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from sam_mil_engine.segment.predictor import SamPrompter

#: Stage name in the progress reports.
STAGE = "prompts"


@lru_cache(maxsize=1)
def prompter(name: str) -> SamPrompter:
    """Load a SAM by name; the last one is cached. The first call takes some seconds.

    Raises
    ------
    SegmentError
        If it is not on this computer, or its file is damaged.
    """
    from sam_mil_engine.segment.predictor import load_prompter

    return load_prompter(name)


def identify(sam: str, *, progress: ProgressCallback) -> tuple[str, str]:
    """Load a SAM and return its name and version.

    Raises
    ------
    SegmentError
        If it is not on this computer, or its file is damaged.
    """
    progress(Progress(STAGE, 0, 2, unit="steps", message="loading the SAM"))
    model = prompter(sam)
    return model.name, model.version


def embed(sam: str, image: npt.NDArray[np.uint8], *, progress: ProgressCallback) -> bytes:
    """Embed an RGB image (h, w, 3) with a SAM; return the embedding for :func:`answer`.

    It can be cancelled before every layer of the image encoder.
    """
    looking = Progress(STAGE, 1, 2, unit="steps", message="embedding the view")
    found = prompter(sam).embed(image, report=lambda: progress(looking))
    return pickle.dumps(found, pickle.HIGHEST_PROTOCOL)


def answer(
    sam: str,
    embedding: bytes,
    points_raster: npt.NDArray[np.float64] | None,
    labels: Sequence[int] | None,
    box_raster: npt.NDArray[np.float64] | None,
    *,
    progress: ProgressCallback,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Predict the masks for prompts on an embedded image.

    Takes and returns what :meth:`~sam_mil_engine.segment.predictor.SamPrompter.predict` does.
    """
    model = prompter(sam)
    model.use(pickle.loads(embedding))
    found = model.predict(points_raster, labels, box_raster)
    progress(Progress(STAGE, 2, 2, unit="steps"))
    return found
