"""The layer controls of napari's window."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from .viewers import qt_viewer

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: Largest width of a combo box in pixels. On a screen 1024 pixels wide, the slide then has more than a third.
WIDEST_CHOICE = 160


def narrow_layer_controls(viewer: Viewer) -> None:
    """Let the combo boxes of the layer controls be narrower than their longest entry. The opened list is wider.

    Why
        napari lists the resolutions of a slide with their sizes (``0: 13056 × 15104 (197.2 MB)``), and the controls
        are never narrower than that. On a small screen, the slide then has no room.
    Seen in
        napari 0.9.2 (``QtViewer.dockLayerControls``). There is no public access to the widgets of the controls.
    Without it
        napari's width.
    """
    from qtpy.QtWidgets import QComboBox, QSizePolicy

    known = weakref.ref(viewer)

    def narrow(_event: Any = None) -> None:
        shown = known()
        controls = None if shown is None else getattr(qt_viewer(shown), "dockLayerControls", None)
        for choice in () if controls is None else controls.findChildren(QComboBox):
            wanted = choice.sizeHint().width()
            if wanted > WIDEST_CHOICE and choice.minimumWidth() != WIDEST_CHOICE:
                choice.view().setMinimumWidth(wanted)
                choice.setSizePolicy(QSizePolicy.Policy.Ignored, choice.sizePolicy().verticalPolicy())
                choice.setMinimumWidth(WIDEST_CHOICE)

    # after napari has made the controls
    viewer.layers.events.inserted.connect(narrow, position="last")
    viewer.layers.selection.events.changed.connect(narrow, position="last")
    narrow()
