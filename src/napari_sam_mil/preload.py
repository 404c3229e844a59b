"""Libraries that napari loads when it makes its first layer of a kind: loaded before, while the window lives."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, TypeVar

from sam_mil_engine.report.colours import segment_colours

from .colours import DIVERGING, QUANTITY, napari_colormap

_FOR_THUMBNAILS = "scipy.ndimage"
_FOR_LAYERS = ("pandas", "skimage.color.colorconv", "skimage.draw", "skimage.exposure")

Result = TypeVar("Result")


def load_for_slides() -> None:
    """Load what the layer of a slide takes; not in the thread of the window, which would wait for all of it."""
    import_module(_FOR_THUMBNAILS)
    # The scale bar's units: pint reads its definitions when it is asked for the first one.
    pint: Any = import_module("pint")
    pint.get_application_registry().parse_units("pixel")


def load_for_results() -> None:
    """Load what the layers of a result take, colour tables included."""
    for name in (_FOR_THUMBNAILS, *_FOR_LAYERS):
        import_module(name)
    # vispy's dashes of lines, and the first tables of OpenCV and matplotlib
    dashes: Any = import_module("vispy.visuals.line.dash_atlas")
    dashes.DashAtlas()
    segment_colours(1)
    for colormap in (DIVERGING, QUANTITY):
        napari_colormap(colormap)


def while_loading(work: Callable[[], Result]) -> Result:
    """Do some work, and :func:`load_for_results` in another thread meanwhile; without a window, only the work."""
    if "napari.viewer" not in sys.modules:
        return work()
    with ThreadPoolExecutor(1, thread_name_prefix="sam-mil-preload") as thread:
        loading = thread.submit(load_for_results)
        result = work()
        loading.result()
    return result
