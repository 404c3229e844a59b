"""What of a slide is in view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .placement import Mpp, pixel_size, world_to_points

if TYPE_CHECKING:
    from napari.viewer import Viewer


def view_px0(viewer: Viewer, mpp: Mpp) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the canvas in level-0 pixels; may reach beyond the slide."""
    centre = np.asarray(viewer.scene.camera.center, dtype=float)[-2:]
    half = np.asarray(viewer.canvas.size, dtype=float) / viewer.scene.camera.zoom / 2
    (left, top), (right, bottom) = world_to_points([centre - half, centre + half], mpp).tolist()
    return left, top, right, bottom


def canvas_pixel_px0(viewer: Viewer, mpp: Mpp) -> float:
    """Level-0 pixels in one pixel of the canvas."""
    return float(1 / (viewer.scene.camera.zoom * np.mean(pixel_size(mpp))))
