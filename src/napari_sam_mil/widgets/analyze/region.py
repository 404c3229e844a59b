"""The part of a slide to analyse: the whole slide, the current view, or selected shapes. No Qt."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sam_mil_engine import layout
from sam_mil_engine.errors import SettingsError
from sam_mil_engine.geometry import area_um2
from sam_mil_engine.settings import ProcessSettings, key

from ...analysis.project_settings import recorded_settings
from ...analysis.source import SlideSource
from ...layers.annotations import shape_annotations
from ...layers.view import view_px0

if TYPE_CHECKING:
    from napari.layers import Shapes
    from napari.viewer import Viewer

    from ...analysis.model import Analysis

#: Outer rings (x, y) in level-0 pixels.
Rings = tuple[tuple[tuple[float, float], ...], ...]

#: The kinds of regions.
WHOLE, VIEW, SHAPE = "whole", "view", "shape"
#: Folder in a project that contains one project for each region, named by the key of the region.
REGIONS = "regions"


def chosen_region(kind: str, viewer: Viewer, source: SlideSource) -> Rings | None:
    """Return the region for a choice and the current view; None for the whole slide.

    Raises
    ------
    SettingsError
        If the slide is not in view, or no shape is selected.
    """
    if kind == VIEW:
        return _view(viewer, source)
    if kind == SHAPE:
        return _shapes(viewer, source)
    return None


def _view(viewer: Viewer, source: SlideSource) -> Rings | None:
    width, height = source.info.size_px0
    left, top, right, bottom = view_px0(viewer, source.place)
    # whole pixels: the same view finds its stored results again
    left, top = max(0, round(left)), max(0, round(top))
    right, bottom = min(width, round(right)), min(height, round(bottom))
    if not (left < right and top < bottom):
        raise SettingsError("the slide is not in view", hint="Press Ctrl+R to show it")
    if (left, top, right, bottom) == (0, 0, width, height):
        return None
    return (((left, top), (right, top), (right, bottom), (left, bottom)),)


def _shapes(viewer: Viewer, source: SlideSource) -> Rings:
    from napari.layers import Shapes

    layers = [layer for layer in viewer.layers if isinstance(layer, Shapes)]
    active = viewer.layers.selection.active
    layers.sort(key=lambda layer: layer is not active)
    for layer in layers:
        numbers = sorted(layer.selected_data)
        if not numbers and layer is active and len(layer.data) == 1:
            numbers = [0]
        if numbers:
            return _rings(layer, numbers, source)
    raise SettingsError(
        "no shape is selected",
        hint="Draw one (Annotations dock, Draw), or select one with the arrow tool of its layer, then try again",
    )


def _rings(layer: Shapes, numbers: Sequence[int], source: SlideSource) -> Rings:
    data, meta, _ = layer.as_layer_data_tuple()
    kinds = meta["shape_type"]
    chosen = {
        **meta,
        "features": {},
        "shape_type": kinds if isinstance(kinds, str) else [kinds[number] for number in numbers],
    }
    areas = shape_annotations([data[number] for number in numbers], chosen, mpp=source.place)
    if not areas:
        raise SettingsError("the selected shape has no area", hint="Select a polygon, a rectangle or an ellipse")
    from sam_mil_engine.annotations.model import polygons_of

    return tuple(
        tuple((round(float(x), 2), round(float(y), 2)) for x, y in polygon.exterior.coords[:-1])
        for area in areas
        for polygon in polygons_of(area.polygon)
    )


def project_of(project: Path, region: Rings | None) -> Path:
    """Return the folder for results: that of the project, or one inside it for this region.

    The settings of the project, with the region, and tissue that was drawn are written there first, so that it is a
    regular project, for this plugin and for the command line.
    """
    if region is None:
        return project
    from sam_mil_engine.process.project import Project
    from sam_mil_engine.provenance import versions

    folder = project / REGIONS / key(region)
    base = recorded_settings(folder if (folder / layout.SETTINGS).is_file() else project)
    settings = ProcessSettings.parse({**base.model_dump(mode="json"), "region": region})
    Project(folder).save_settings(settings, versions())
    drawn = folder / layout.DRAWN_TISSUE
    if (project / layout.DRAWN_TISSUE).is_dir() and not drawn.exists():
        shutil.copytree(project / layout.DRAWN_TISSUE, drawn)
    return folder


def is_region(analysis: Analysis) -> bool:
    """Whether these are the results of a region of the slide."""
    return analysis.processed.bag_path.parents[2].name == REGIONS


def area_text(region: Rings, mpp: tuple[float, float] | None) -> str:
    """Format the area of a region: ``0.61 mm²``, or in pixels if the resolution is not known."""
    import shapely

    area = float(shapely.union_all([shapely.make_valid(shapely.Polygon(ring)) for ring in region]).area)
    if mpp is None:
        return f"{area:,.0f} px²"
    um2 = float(area_um2(area, mpp))
    return f"{um2 / 1e6:.3g} mm²" if um2 >= 1e4 else f"{um2:,.0f} µm²"
