"""What napari's status bar says of the place under the cursor."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer


def show_in_status_bar(viewer: Viewer, text_for: Callable[[Viewer, str], str | None]) -> None:
    """Let the status bar say of the place under the cursor what ``text_for`` returns; once per viewer.

    Why
        napari writes world coordinates without a unit. A layer can add to the value (``get_status``), but not
        change how the place is written.
    Seen in
        napari 0.9.2: ``viewer.status`` is a dictionary with the entries ``coords``, ``coordinates`` and ``value``.
    Without it
        The status bar says what napari writes there.

    Parameters
    ----------
    text_for
        Takes the viewer and napari's words for the value under the cursor; None leaves the status as it is.
    """
    if viewer in _told:
        return
    _told.add(viewer)
    seen = weakref.ref(viewer)

    def rewrite(_event: Any) -> None:
        viewer = seen()
        status = None if viewer is None else viewer.status
        if viewer is None or not isinstance(status, dict) or not status.get("coords"):
            return
        words = text_for(viewer, status.get("value", ""))
        if words is not None and status.get("coordinates") != words:
            viewer.status = status | {"coordinates": words}

    viewer.events.status.connect(rewrite)


_told: weakref.WeakSet[Viewer] = weakref.WeakSet()
