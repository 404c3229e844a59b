"""The position under the cursor in napari's status bar."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer


def show_in_status_bar(viewer: Viewer, text_for: Callable[[Viewer, str], str | None]) -> None:
    """Show the text that ``text_for`` returns as the position in the status bar; once per viewer.

    Why
        napari shows world coordinates without a unit. A layer can extend the value (``get_status``), but not change
        the format of the position.
    Seen in
        napari 0.9.2: ``viewer.status`` is a dictionary with the entries ``coords``, ``coordinates`` and ``value``.
    Without it
        The status bar shows napari's text.

    Parameters
    ----------
    text_for
        Takes the viewer and napari's text for the value under the cursor; None leaves the status unchanged.
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
        text = text_for(viewer, status.get("value", ""))
        if text is not None and status.get("coordinates") != text:
            viewer.status = status | {"coordinates": text}

    viewer.events.status.connect(rewrite)


_told: weakref.WeakSet[Viewer] = weakref.WeakSet()
