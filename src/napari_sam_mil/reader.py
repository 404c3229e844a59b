"""Open slides in napari: lazily, at any zoom, in micrometres. Imports nothing heavy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from sam_mil_engine.errors import SettingsError
from sam_mil_engine.slide.finding import EXTENSIONS

from .layers import LayerData, slide_layer
from .preferences import Preferences, preferences
from .source import METADATA_KEY, LayerTag, SlideSource

PathOrPaths = str | Sequence[str]


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Return :func:`read_slides` where every path is a file that the engine may open, else None."""
    paths = _as_list(path)
    if paths and all(Path(one).suffix.lower() in EXTENSIONS for one in paths):
        return read_slides
    return None


def read_slides(path: PathOrPaths) -> list[LayerData]:
    """Open one or several slides, each as one lazy RGB pyramid.

    The layer's metadata holds the open slide (:func:`napari_sam_mil.source.tag_of`).

    Raises
    ------
    SlideError
        If a file cannot be opened; napari shows its message.
    """
    return [_read(one) for one in _as_list(path)]


def _read(path: str) -> LayerData:
    from sam_mil_engine.slide.pyramid import open_pyramid
    from sam_mil_engine.slide.reader import open_slide

    slide = open_slide(path)
    source = SlideSource(slide)
    try:
        cache = preferences().cache_bytes
    except SettingsError as error:  # no reason not to open a slide; napari shows the warning
        warnings.warn(str(error), stacklevel=2)
        cache = Preferences().cache_bytes
    pyramid = open_pyramid(slide, cache_bytes=cache)
    levels, keywords, kind = slide_layer(pyramid, slide.info, mpp=source.mpp)
    return levels, keywords | {"metadata": {METADATA_KEY: LayerTag("slide", source)}}, kind


def _as_list(path: PathOrPaths) -> list[str]:
    return [path] if isinstance(path, str) else [str(one) for one in path]
