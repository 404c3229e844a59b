"""Remember where each slide of a list is looked at, and return there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from ...analysis.worklist import View
from ...layers.view import canvas_pixel_px0, middle_px0, show_middle

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from ...session.slide import SlideSession
    from ...session.viewer import Sessions

#: Milliseconds after the last movement of the camera until the place is saved.
SETTLED = 1000


class ViewKeeper(QObject):
    """Reports the place of the current slide when the camera has come to rest.

    Parameters
    ----------
    dock
        The dock that keeps the views.
    sessions
        The open slides.
    save
        Called with the slide and its view.
    """

    def __init__(self, dock: QWidget, sessions: Sessions, save: Callable[[SlideSession, View], None]):
        super().__init__(dock)
        self._sessions, self._save = sessions, save
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLED)
        self._timer.timeout.connect(self.save_now)
        camera = sessions.viewer.scene.camera.events
        self._events = (camera.center, camera.zoom)
        for event in self._events:
            event.connect(self._on_camera)

    def save_now(self) -> None:
        """Report the place of the current slide, if it is in the middle of the canvas."""
        self._timer.stop()
        session = self._sessions.current
        if session is None or not session.layer.visible:
            return
        viewer, where = self._sessions.viewer, session.source.place
        x, y = middle_px0(viewer, where)
        width, height = session.source.info.size_px0
        if 0 <= x <= width and 0 <= y <= height:
            self._save(session, View(round(x, 1), round(y, 1), float(f"{canvas_pixel_px0(viewer, where):.6g}")))

    def restore(self, session: SlideSession, view: View | None) -> None:
        """Show a slide where it was left; the whole slide if it was not looked at yet."""
        if view is None:
            self._sessions.viewer.reset_view()
        else:
            middle = (view.x_px0, view.y_px0)
            show_middle(self._sessions.viewer, middle, view.px0_per_pixel, session.source.place)

    def leave(self) -> None:
        """Disconnect from the camera."""
        self._timer.stop()
        for event in self._events:
            event.disconnect(self._on_camera)

    def _on_camera(self, _event: Any = None) -> None:
        self._timer.start()
