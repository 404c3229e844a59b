"""Show the cursor position in micrometres and slide pixels in the status bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..analysis.placement import world_to_points
from ..analysis.source import SlideSource, tag_of
from ..napari_compat.status_bar import show_in_status_bar
from ..napari_compat.viewers import real_viewer
from .annotations import shape_text_at

if TYPE_CHECKING:
    from napari.viewer import Viewer


def where_in_slide(position_world: tuple[float, float], source: SlideSource) -> str:
    """Format the position of a world point (row, column): ``x 1,234.5 µm, y 87.1 µm · px 2473, 175``."""
    x_px0, y_px0 = world_to_points(position_world, source.place).tolist()
    pixel = f"px {int(x_px0 // 1)}, {int(y_px0 // 1)}"
    if source.mpp is None:
        return pixel
    x_um, y_um = x_px0 * source.mpp[0], y_px0 * source.mpp[1]
    return f"x {x_um:,.1f} µm, y {y_um:,.1f} µm · {pixel}"


def watch_cursor(viewer: Viewer) -> None:
    """Show the position from now on while a layer of a slide is selected; once per viewer."""
    show_in_status_bar(real_viewer(viewer), _words)


def _words(viewer: Viewer, value: str) -> str | None:
    """Return position and value under the cursor, or None if no layer of a slide is selected."""
    active = viewer.layers.selection.active
    tag = None if active is None else tag_of(active.metadata)
    if tag is None:
        return None
    place = where_in_slide(tuple(viewer.cursor.position[-2:]), tag.source)
    shape = shape_text_at(active, viewer.cursor.position)
    value = value if shape is None else shape
    return f"{place}: {value}" if value else place
