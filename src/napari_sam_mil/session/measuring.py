"""The tool *Measure*: drag a line on the slide, and read its length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..layers.measurements import MEASUREMENTS, measurements_layer, update_lengths

if TYPE_CHECKING:
    from .slide import SlideSession
    from .viewer import Sessions

#: The mode of a shapes layer in which a drag draws a line.
_DRAWING = "add_line"


def toggle_measuring(sessions: Sessions) -> None:
    """Take the tool that measures on the current slide, or put it away if it is taken."""
    session = sessions.current
    if session is None:
        return
    layer = session.layers.get(MEASUREMENTS)
    if layer is not None and layer is sessions.viewer.layers.selection.active and layer.mode == _DRAWING:
        layer.mode = "pan_zoom"
        return
    if layer is None:
        data = measurements_layer(session.source.info.size_px0, mpp=session.source.place)
        layer = sessions.put(session, MEASUREMENTS, data)
        _watch(layer, session)
    layer.visible = True
    sessions.viewer.layers.selection.active = layer
    layer.mode = _DRAWING


def _watch(layer: Any, session: SlideSession) -> None:
    """Keep the lengths of a layer up to date."""
    layer.events.data.connect(lambda _event: update_lengths(layer, session.source.place))
