"""Open slides in napari as lazy pyramids in micrometres. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sam_mil_engine.slide.finding import has_slide_name
from sam_mil_engine.slide.zarr_store import is_zarr

from .analysis.source import METADATA_KEY, LayerTag, SlideSource
from .background.waiting import wait_for
from .layers.results import LayerData, slide_layer
from .opening import open_levels, prepare_window, read_preferences

PathOrPaths = str | Sequence[str]


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Return :func:`read_slides` if the engine reads the type of every file or folder of OME-Zarr, else None."""
    paths = [Path(one) for one in _as_list(path)]
    if paths and all(is_zarr(one) if one.is_dir() else has_slide_name(one) for one in paths):
        return read_slides
    return None


def read_slides(path: PathOrPaths) -> list[LayerData]:
    """Open one or several slides, each as one lazy RGB pyramid.

    The layer's metadata holds the open slide (:func:`napari_sam_mil.analysis.source.tag_of`).

    Raises
    ------
    SlideError
        If a file cannot be opened. napari shows the message.
    """
    return [_read(one) for one in _as_list(path)]


def _read(path: str) -> LayerData:
    values = read_preferences()
    name = Path(path).name
    slide, pyramid = wait_for(lambda progress: open_levels(path, values, progress), f"Opening {name}")
    source = SlideSource(slide)
    levels, keywords, kind = slide_layer(pyramid, slide.info, mpp=source.place)
    prepare_window(slide, values)
    return levels, keywords | {"metadata": {METADATA_KEY: LayerTag("slide", source)}}, kind


def _as_list(path: PathOrPaths) -> list[str]:
    return [path] if isinstance(path, str) else [str(one) for one in path]
