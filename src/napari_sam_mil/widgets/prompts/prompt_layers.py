"""The two layers of the Prompts dock: the prompts, which receive clicks and keys, and SAM's mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from ...analysis.placement import world_to_points
from ...analysis.prompting import Answer, Prompt
from ...keys import give_keys
from ...layers.prompts import BOX, candidate_layer, mask_layer, prompt_shapes, prompts_layer
from ...layers.view import canvas_pixel_px0
from ..dock import Dock

if TYPE_CHECKING:
    from napari.layers import Layer

    from ...session.slide import SlideSession
    from ...session.viewer import Sessions

#: Most canvas pixels that the mouse may move during a click.
_STEADY = 4
#: Diameter of a point in canvas pixels.
_DISC = 14


class PromptLayers(QObject):
    """Shows the prompts and the mask. ``prompted`` carries the prompt of a click or a dragged box.

    Parameters
    ----------
    sessions
        The slides of the viewer.
    tool
        Returns the active tool.
    keys
        Name of an action of :data:`~napari_sam_mil.keys.PROMPT_KEYS` -> its function.
    """

    prompted = Signal(object)

    def __init__(
        self,
        sessions: Sessions,
        tool: Callable[[], str | None],
        keys: Mapping[str, Callable[[], None]],
        dock: Dock,
    ):
        super().__init__(dock)
        self._sessions, self._tool, self._keys = sessions, tool, keys
        dock.keys_changed.connect(self.update_keys)

    def show_prompts(self, session: SlideSession, prompts: tuple[Prompt, ...], answer: Answer | None) -> Layer:
        """Draw the prompts, and the region that SAM embedded."""
        size = _DISC * canvas_pixel_px0(self._sessions.viewer, session.source.mpp)
        region = None if answer is None or not prompts else answer.region
        shapes, style = prompt_shapes(prompts, region, size_px0=size)
        layer = session.layers.get("prompts")
        if layer is not None:
            layer.data = []
            if shapes:
                layer.add(shapes, **style)
            layer.selected_data = set()
            return layer
        layer = self._sessions.put(session, "prompts", prompts_layer(shapes, style, mpp=session.source.place))
        layer.mouse_drag_callbacks.append(self._on_mouse)
        give_keys(layer, self._keys)
        return layer

    def show_answer(self, session: SlideSession, answer: Answer | None, number: int) -> None:
        """Draw one of SAM's masks, or none."""
        if answer is None:
            _clear_layer(session, "candidate")
            return
        first = "candidate" not in session.layers
        self._sessions.put(session, "candidate", candidate_layer(answer, number, mpp=session.source.place))
        if first and "prompts" in session.layers:  # prompts stay on top
            layers = self._sessions.viewer.layers
            layers.move(layers.index(session.layers["prompts"]), len(layers))

    def activate_tool(self, session: SlideSession, layer: Layer) -> None:
        """Select the layer, so that it receives clicks. A drag pans the image unless the tool is the box."""
        self._sessions.viewer.layers.selection.active = layer
        layer.mouse_pan = self._tool() != "box"

    def update_keys(self) -> None:
        """Apply the current keys to the layers."""
        for session in self._sessions.all():
            if "prompts" in session.layers:
                give_keys(session.layers["prompts"], self._keys)

    def _on_mouse(self, layer: Layer, event: Any) -> Iterator[None]:
        tool = self._tool()
        session = next((one for one in self._sessions.all() if one.layers.get("prompts") is layer), None)
        if tool is None or session is None or event.button not in (1, 2):
            return
        start, press = event.position[-2:], np.asarray(event.pos, dtype=float)
        negative = event.button == 2 or "Shift" in event.modifiers or tool == "negative"
        yield
        while event.type == "mouse_move":
            yield
        first, last = world_to_points([start, event.position[-2:]], session.source.place).tolist()
        moved = np.abs(np.asarray(event.pos, dtype=float) - press).max() > _STEADY
        if tool == "box" and moved:
            self.prompted.emit(Prompt("box", (tuple(first), tuple(last))))
        elif tool != "box" and not moved:
            self.prompted.emit(Prompt("negative" if negative else "positive", (tuple(first),)))


def show_chosen(sessions: Sessions, session: SlideSession, number: int | None) -> None:
    """Draw a whole segment, including parts that smaller segments cover, or none."""
    segments = None if session.analysis is None else session.analysis.processed.segments
    if number is None or segments is None or number >= len(segments):
        _clear_layer(session, "chosen")
        return
    mask, place = segments.mask(number), session.source.place
    sessions.put(session, "chosen", mask_layer(mask, segments.frame, "chosen segment", colour=BOX, mpp=place))
    layer = session.layers.get("segments")
    if layer is not None:
        layer.selected_label = number + 1


def _clear_layer(session: SlideSession, kind: str) -> None:
    """Clear a layer without removing it, since removing a layer blocks napari for a moment."""
    layer = session.layers.get(kind)
    if layer is not None and layer.data.any():
        layer.data = np.zeros_like(layer.data)
