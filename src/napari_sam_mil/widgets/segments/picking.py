"""Select segments by clicks in the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from ...analysis.hit_testing import next_segment, segments_at
from ...analysis.placement import world_to_points
from ...napari_compat.event_loop import call_later

if TYPE_CHECKING:
    from ...session.slide import SlideSession
    from ...session.viewer import Sessions

#: Most canvas pixels that the mouse may move during a click.
_STEADY = 4
#: Layer modes in which a click has no other effect.
_FREE = frozenset({"pan_zoom"})


class Picker(QObject):
    """``picked`` carries the number (from 0) of the clicked segment; another click picks the segment around it.

    Parameters
    ----------
    sessions
        The slides of the viewer.
    """

    picked = Signal(int)

    def __init__(self, sessions: Sessions, parent: QObject):
        super().__init__(parent)
        self._sessions = sessions
        self.chosen: int | None = None
        sessions.viewer.mouse_drag_callbacks.append(self._on_mouse)

    def leave(self) -> None:
        """Stop listening to clicks."""
        callbacks = self._sessions.viewer.mouse_drag_callbacks
        if self._on_mouse in callbacks:
            callbacks.remove(self._on_mouse)

    def _on_mouse(self, viewer: Any, event: Any) -> Iterator[None]:
        active = viewer.layers.selection.active
        session = self._sessions.current
        if event.button != 1 or event.modifiers or session is None or session.analysis is None:
            return
        if active is None or str(active.mode) not in _FREE or active is session.layers.get("prompts"):
            return
        place, press = event.position[-2:], np.asarray(event.pos, dtype=float)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.asarray(event.pos, dtype=float) - press).max() > _STEADY:
            return
        # the selection changes the layers, which must not happen while napari handles the click
        call_later(partial(self._pick, session, place))

    def _pick(self, session: SlideSession, place: Sequence[float]) -> None:
        segments = None if session.analysis is None else session.analysis.processed.segments
        if segments is None or session is not self._sessions.current:
            return
        x, y = world_to_points([place], session.source.place)[0].tolist()
        number = next_segment(segments_at(segments, x, y), self.chosen)
        if number is not None:
            self.picked.emit(number)
