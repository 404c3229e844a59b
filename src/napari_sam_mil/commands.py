"""Commands of the palette, the menus and the keys. Each opens its dock and presses the button there.

A command therefore does exactly what the button does, is refused while the button is disabled, and leaves the dock
open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .docks import find_dock, open_dock, open_docks
from .notices import tell

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QAbstractButton


def segment_classify(viewer: Viewer) -> None:
    """Press *Segment/Classify*."""
    _press(viewer, "Analyze", "button")


def find_tissue(viewer: Viewer) -> None:
    """Press *Tissue*."""
    _press(viewer, "Analyze", "steps", "Tissue")


def segment(viewer: Viewer) -> None:
    """Press *Segment*."""
    _press(viewer, "Analyze", "steps", "Segment")


def features(viewer: Viewer) -> None:
    """Press *Features*."""
    _press(viewer, "Analyze", "steps", "Features")


def classify(viewer: Viewer) -> None:
    """Press *Classify*."""
    _press(viewer, "Analyze", "steps", "Classify")


def cancel(viewer: Viewer) -> None:
    """Cancel all jobs of the docks of this window."""
    from .background.dock_jobs import DockJobs

    dock = find_dock(viewer, "Analyze")
    busy = [jobs for one in open_docks(viewer) for jobs in one.findChildren(DockJobs) if jobs.busy]
    if not busy and (dock is None or dock.job is None):
        tell("SAM-MIL is not running anything that could be cancelled.")
    if dock is not None:
        dock.cancel()
    for jobs in busy:
        jobs.cancel()


def add_points(viewer: Viewer) -> None:
    """Toggle the tool *+ Point*."""
    _press(viewer, "Prompts", "card", "tools", "positive")


def add_negative_points(viewer: Viewer) -> None:
    """Toggle the tool *− Point*."""
    _press(viewer, "Prompts", "card", "tools", "negative")


def drag_box(viewer: Viewer) -> None:
    """Toggle the tool *Box*."""
    _press(viewer, "Prompts", "card", "tools", "box")


def next_candidate(viewer: Viewer) -> None:
    """Press *Next candidate*."""
    _press(viewer, "Prompts", "card", "next")


def accept_mask(viewer: Viewer) -> None:
    """Press *Accept*."""
    _press(viewer, "Prompts", "card", "accept")


def undo_prompt(viewer: Viewer) -> None:
    """Press *Undo* of the prompts."""
    _press(viewer, "Prompts", "card", "undo")


def redo_prompt(viewer: Viewer) -> None:
    """Press *Redo* of the prompts."""
    _press(viewer, "Prompts", "card", "redo")


def clear_prompts(viewer: Viewer) -> None:
    """Press *Clear*."""
    _press(viewer, "Prompts", "card", "clear")


def undo_edit(viewer: Viewer) -> None:
    """Press *Undo edit* of the segments."""
    _press(viewer, "Prompts", "segments", "undo")


def save_edits(viewer: Viewer) -> None:
    """Press *Save edits to the project*."""
    _press(viewer, "Prompts", "segments", "save")


def load_outlines(viewer: Viewer) -> None:
    """Press *Load…* of the outlines."""
    _press(viewer, "Annotations", "outlines", "load")


def draw_outlines(viewer: Viewer) -> None:
    """Press *Draw* of the outlines."""
    _press(viewer, "Annotations", "outlines", "draw")


def toggle_figure_6(viewer: Viewer) -> None:
    """Show the patches above the threshold, or hide them."""
    _press(viewer, "Annotations", "figure", "show_box")


def show_beside(viewer: Viewer) -> None:
    """Press *Compare two classifiers…*."""
    _press(viewer, "Annotations", "figure", "beside")


def export_segments_csv(viewer: Viewer) -> None:
    """Press *Save as CSV…* of the segments."""
    _press(viewer, "Segments", "csv")


def export_segments_geojson(viewer: Viewer) -> None:
    """Press *Save as GeoJSON…* of the segments."""
    _press(viewer, "Segments", "geojson")


def send_to_qupath(viewer: Viewer) -> None:
    """Press *Send to QuPath…*."""
    _press(viewer, "Segments", "qupath")


def save_figure(viewer: Viewer) -> None:
    """Press *Save figure…*."""
    _press(viewer, "Figure", "button")


def open_project(viewer: Viewer) -> None:
    """Press *Choose folder…* of the slides."""
    _press(viewer, "Slides", "folder")


def finer_map(viewer: Viewer) -> None:
    """Press *Finer map here*."""
    _press(viewer, "Analyze", "map_card", "finer")


def measure(viewer: Viewer) -> None:
    """Press *Measure a distance*."""
    _press(viewer, "Analyze", "slide_card", "measure")


def compare_slides(viewer: Viewer) -> None:
    """Press *Side by side* of the slides."""
    _press(viewer, "Slides", "beside")


def next_slide(viewer: Viewer) -> None:
    """Press *Next* of the worklist."""
    _press(viewer, "Slides", "worklist", "next")


def previous_slide(viewer: Viewer) -> None:
    """Press *Previous* of the worklist."""
    _press(viewer, "Slides", "worklist", "previous")


def _press(viewer: Viewer, dock_name: str, *path: str) -> None:
    """Press the button at ``path`` in a dock. If it is disabled, tell the user."""
    place: Any = open_dock(viewer, dock_name)
    for name in path:
        place = place[name] if isinstance(place, dict) else getattr(place, name)
    button: QAbstractButton = place
    if button.isEnabled():
        button.click()
    else:
        title = button.text().replace("&", "").rstrip("…")
        tell(f"“{title}” is not available now. The {dock_name} dock says what is missing. {button.toolTip()}.")
