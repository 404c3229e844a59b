"""The part of a slide that is in view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..analysis.placement import PlaceOrMpp, pixel_size, points_to_world, world_to_points

if TYPE_CHECKING:
    from napari.viewer import Viewer


def view_px0(viewer: Viewer, mpp: PlaceOrMpp) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of the canvas in level-0 pixels, which may extend beyond the slide."""
    down, across = _axes(viewer)
    centre, half = np.zeros(2), np.zeros(2)
    centre[[down, across]] = np.asarray(viewer.scene.camera.center, dtype=float)[-2:]
    half[[down, across]] = np.asarray(viewer.canvas.size, dtype=float) / viewer.scene.camera.zoom / 2
    (left, top), (right, bottom) = world_to_points([centre - half, centre + half], mpp).tolist()
    return left, top, right, bottom


def _axes(viewer: Viewer) -> tuple[int, int]:
    """Return the axes of the slide, 0 for rows and 1 for columns, that are vertical and horizontal on the canvas.

    The user can swap them by transposing the view (Ctrl+T) or rolling its axes.
    """
    shown = [axis - (viewer.dims.ndim - 2) for axis in viewer.dims.displayed][-2:]
    return (shown[0], shown[1]) if sorted(shown) == [0, 1] else (0, 1)


def sees_all(viewer: Viewer, size_px0: tuple[int, int], mpp: PlaceOrMpp) -> bool:
    """Whether the whole slide is in view."""
    left, top, right, bottom = view_px0(viewer, mpp)
    pixel = canvas_pixel_px0(viewer, mpp)
    beyond = (-left, -top, right - size_px0[0], bottom - size_px0[1])
    return min(beyond) >= -pixel


def show_px0(viewer: Viewer, corners_px0: npt.ArrayLike, mpp: PlaceOrMpp, *, share: float = 1.0) -> None:
    """Bring a box, given by two corners (2, 2), into view, so that it fills this share of the canvas."""
    corners = points_to_world(corners_px0, mpp)[:, list(_axes(viewer))]
    camera = viewer.scene.camera
    camera.center = tuple(corners.mean(axis=0).tolist())
    sides = np.maximum(np.ptp(corners, axis=0), 1e-6)
    camera.zoom = float(share * np.min(np.asarray(viewer.canvas.size) / sides))


def canvas_pixel_px0(viewer: Viewer, mpp: PlaceOrMpp) -> float:
    """Return the number of level-0 pixels along a canvas pixel."""
    return float(1 / (viewer.scene.camera.zoom * np.mean(pixel_size(mpp))))


def middle_px0(viewer: Viewer, mpp: PlaceOrMpp) -> tuple[float, float]:
    """Return the middle (x, y) of the canvas in level-0 pixels."""
    left, top, right, bottom = view_px0(viewer, mpp)
    return (left + right) / 2, (top + bottom) / 2


def show_middle(viewer: Viewer, middle: tuple[float, float], px0_per_pixel: float, mpp: PlaceOrMpp) -> None:
    """Bring a level-0 point into the middle of the canvas, at so many level-0 pixels per canvas pixel."""
    camera = viewer.scene.camera
    camera.center = tuple(points_to_world(middle, mpp)[list(_axes(viewer))].tolist())
    camera.zoom = float(1 / (px0_per_pixel * np.mean(pixel_size(mpp))))
