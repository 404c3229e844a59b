"""Import in advance the libraries that napari needs for its first layers, while the window stays responsive."""

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
    """Import what the layer of a slide needs. Call it outside the window's thread, since it takes a while."""
    load(_FOR_THUMBNAILS)
    read_units()


def load_for_results() -> None:
    """Import what the layers of a result need, and build the colour tables."""
    load(_FOR_THUMBNAILS, *_FOR_LAYERS)
    make_dashes()
    segment_colours(1)  # the first tables of OpenCV and matplotlib
    for colormap in (DIVERGING, PROBABILITY, QUANTITY):
        napari_colormap(colormap)


def while_loading(work: Callable[[], Result]) -> Result:
    """Do some work, with :func:`load_for_results` in another thread. Without a window, do only the work.

    Loading is an optimisation: if it fails, the failure is logged, and the result of the work is returned.
    """
    if "napari.viewer" not in sys.modules:
        return work()
    with ThreadPoolExecutor(1, thread_name_prefix="sam-mil-preload") as thread:
        loading = thread.submit(load_for_results)
        result = work()
        if (error := loading.exception()) is not None:
            logger.warning("Preloading failed, so the results take longer to appear.", exc_info=error)
    return result
