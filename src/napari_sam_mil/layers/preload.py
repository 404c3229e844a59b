"""Libraries that napari loads when it makes its first layer of a kind: loaded before, while the window lives."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sam_mil_engine.drawing.colours import segment_colours

from ..napari_compat.first_use import load, make_dashes, read_units
from .colours import DIVERGING, PROBABILITY, QUANTITY, napari_colormap

logger = logging.getLogger(__name__)

_FOR_THUMBNAILS = "scipy.ndimage"
_FOR_LAYERS = ("pandas", "skimage.color.colorconv", "skimage.draw", "skimage.exposure")

Result = TypeVar("Result")


def load_for_slides() -> None:
    """Load what the layer of a slide takes; not in the thread of the window, which would wait for all of it."""
    load(_FOR_THUMBNAILS)
    read_units()


def load_for_results() -> None:
    """Load what the layers of a result take, colour tables included."""
    load(_FOR_THUMBNAILS, *_FOR_LAYERS)
    make_dashes()
    segment_colours(1)  # the first tables of OpenCV and matplotlib
    for colormap in (DIVERGING, PROBABILITY, QUANTITY):
        napari_colormap(colormap)


def while_loading(work: Callable[[], Result]) -> Result:
    """Do some work, and :func:`load_for_results` in another thread; without a window, only the work.

    Loading is an optimisation: if it fails, the log says so, and the result of the work is returned all the same.
    """
    if "napari.viewer" not in sys.modules:
        return work()
    with ThreadPoolExecutor(1, thread_name_prefix="sam-mil-preload") as thread:
        loading = thread.submit(load_for_results)
        result = work()
        if (error := loading.exception()) is not None:
            logger.warning("Loading ahead of the results failed; they take longer to appear.", exc_info=error)
    return result
