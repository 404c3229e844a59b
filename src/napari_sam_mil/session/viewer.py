"""The open slides of a viewer and their layers.

Each slide layer has one :class:`SlideSession`, and all docks of a viewer share one :class:`Sessions`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Labels, Layer
from psygnal import Signal

from ..analysis.placement import pixel_size
from ..analysis.source import METADATA_KEY, LayerTag, tag_of
from ..layers.annotations import OUTLINES, place_outlines
from ..layers.line_width import keep_lines_thin
from ..layers.measurements import MEASUREMENTS, update_lengths
from ..layers.recolour import colour_segments
from ..layers.results import FINER, RESULT_KINDS, LayerData, finer_layer
from ..layers.update import update_layer
from ..layers.view import sees_all, show_px0, view_px0
from ..napari_compat.event_filter import filter_events_on_demand
from ..napari_compat.event_loop import call_later, process_events
from ..napari_compat.graphics import keep_context
from ..napari_compat.layer_controls import narrow_layer_controls
from ..napari_compat.layers import insert_unselected
from ..napari_compat.units import silence_unit_warnings
from ..napari_compat.viewers import real_viewer
from ..napari_compat.window_thread import hand_over_calls
from .arrangement import apply_placement, place_beside_others, rescale_results, watch_placement
from .closing import remove_results
from .fit_view import WholeView
from .slide import SlideSession

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from sam_mil_engine.slide.info import SlideInfo

    from ..analysis.finer import FinerMap
    from ..analysis.model import Analysis

#: Kinds of layers in which the user draws. They are replaced, not updated.
_DRAWN_KINDS = frozenset({*OUTLINES, MEASUREMENTS, "prompts"})


class Sessions:
    """All open slides of one viewer, and the current one. Use :func:`sessions_of`."""

    #: The current slide, or the results of a slide, changed.
    changed = Signal()

    def __init__(self, viewer: Viewer):
        self._viewer = weakref.ref(viewer)
        self._sessions: list[SlideSession] = []
        self._current: SlideSession | None = None
        #: Whether maps are interpolated between patches; :meth:`refresh` applies it.
        self.smooth = False
        hand_over_calls()
        filter_events_on_demand(viewer)
        keep_context(viewer)
        narrow_layer_controls(viewer)
        keep_lines_thin(viewer)
        silence_unit_warnings(viewer)
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        viewer.layers.selection.events.active.connect(self._on_active)
        self._whole_view = WholeView(viewer, self._sees_all)
        self.changed.connect(self._whole_view.remember)
        self._on_layers()

    @property
    def viewer(self) -> Viewer:
        """The viewer; it outlives this object."""
        viewer = self._viewer()
        if viewer is None:
            raise RuntimeError("the viewer is gone")
        return viewer

    @property
    def current(self) -> SlideSession | None:
        """The slide of the selected layer, else the last current slide."""
        return self._current

    def all(self) -> tuple[SlideSession, ...]:
        """Every open slide, in the order in which they were opened."""
        return tuple(self._sessions)

    def show(self, session: SlideSession, analysis: Analysis) -> None:
        """Store new results and show them instead of the previous ones."""
        session.analysis, session.on_disk, session.agreement = analysis, analysis, None
        session.finer = None
        session.earlier.clear()
        self.refresh(session)

    def edit(self, session: SlideSession, analysis: Analysis) -> None:
        """Show the results after a manual edit of the segments; :meth:`undo_edit` restores the previous ones."""
        if session.analysis is not None:
            session.earlier.append(session.analysis)
        session.analysis, session.agreement, session.finer = analysis, None, None
        self.refresh(session)

    def undo_edit(self, session: SlideSession) -> None:
        """Restore the results before the last manual edit."""
        if session.earlier:
            session.analysis, session.agreement, session.finer = session.earlier.pop(), None, None
            self.refresh(session)

    def refresh(self, session: SlideSession) -> None:
        """Update the layers of the slide; their order, visibility, opacity and colours do not change."""
        if session not in self._sessions:
            return
        wanted = session.result_layers(smooth=self.smooth)
        for kind in RESULT_KINDS:
            if kind == "tissue" and session.tissue_in_hand:
                continue
            if kind in wanted:
                array, keywords, type_name = wanted[kind]
                first = kind not in session.layers
                # adding a layer takes napari a tenth of a second, and drawing it another
                layer = self.put(session, kind, (array, keywords | {"visible": False}, type_name))
                process_events()
                if session not in self._sessions:  # its slide was closed in the meantime
                    return
                if first and keywords.get("visible", True):
                    layer.visible = True
                    process_events()
            else:
                self.drop(session, kind)
        self.changed.emit()

    def show_finer(self, session: SlideSession, found: FinerMap) -> None:
        """Show the finer map of a part of the slide instead of its map of the whole slide."""
        scores = None if session.analysis is None else session.analysis.scores
        if session not in self._sessions or session.analysis is None or scores is None:
            return
        first, session.finer = FINER not in session.layers, found
        tissue, place = session.analysis.processed.tissue, session.source.place
        self.put(session, FINER, finer_layer(found, scores, mpp=place, tissue=tissue, smooth=self.smooth))
        if first and "probability" in session.layers:
            session.layers["probability"].visible = False

    def put(self, session: SlideSession, kind: str, data: LayerData) -> Layer:
        """Show one layer of a slide: update the layer of this kind, or replace it.

        If the slide was closed in the meantime, the returned layer is not shown.
        """
        array, keywords, type_name = data
        segments = session.analysis.processed.segments if session.analysis and kind == "segments" else None
        metadata = {METADATA_KEY: LayerTag(kind, session.source, segments)}
        old = session.layers.get(kind)
        if old is not None and kind not in _DRAWN_KINDS and update_layer(old, data):
            layer = old
            layer.metadata = metadata
        else:
            layer = Layer.create(array, keywords | {"metadata": metadata}, type_name)
        if isinstance(layer, Labels):
            layer.editable = False
        if isinstance(layer, Labels) and kind not in (*OUTLINES, "artefacts"):
            colour_segments(layer, session.table(), session.colour_by)
        if layer is old:
            return layer
        layers = self.viewer.layers
        if session not in self._sessions:
            return layer
        active = layers.selection.active
        if old is None:
            place = 1 + max(layers.index(other) for other in (session.layer, *session.layers.values()))
        else:
            layer.visible, layer.opacity = old.visible, old.opacity
            place = self._drop(session, kind)
        session.layers[kind] = layer
        insert_unselected(layers, place, layer)
        layers.selection.active = layer if active is old else active
        return layer

    def update_table(self, session: SlideSession) -> None:
        """Show the current segment table: when hovering, as colours, and in the docks."""
        layer = session.layers.get("segments")
        if layer is not None:
            table = session.table()
            layer.features = table
            colour_segments(layer, table, session.colour_by)
        self.changed.emit()

    def set_mpp(self, session: SlideSession, mpp: float | None) -> None:
        """Set the micrometres per pixel of a slide whose file does not state them, and place all layers again."""
        self._place_again(session, lambda: setattr(session.source, "user_mpp", mpp))

    def take_resolution(self, session: SlideSession, info: SlideInfo) -> None:
        """Take the resolution that a project states of a slide, and place all layers again if it is another one."""
        if info.mpp not in (None, session.source.info.mpp):
            self._place_again(session, lambda: session.source.take_resolution(info))

    def _place_again(self, session: SlideSession, change: Callable[[], object]) -> None:
        """Change the resolution. If the slide is current, the same part of it stays in view."""
        in_view = view_px0(self.viewer, session.source.place) if session is self._current else None
        before = pixel_size(session.source.place)
        change()
        apply_placement(session)
        for kind in set(session.layers) & {*RESULT_KINDS, MEASUREMENTS}:
            # first: while layers have different units, napari warns and ignores the units
            rescale_results(session.layers[kind], session.source.place, before=before)
        if in_view is not None:
            show_px0(self.viewer, (in_view[:2], in_view[2:]), session.source.place)
        for layer in session.outline_layers():
            placed = place_outlines(layer.data, session.source.place)
            layer.scale, layer.translate, layer.units = placed.values()
        measured = session.layers.get(MEASUREMENTS)
        if measured is not None:
            update_lengths(measured, session.source.place)
        for kind in set(session.layers) - {*OUTLINES, *RESULT_KINDS, MEASUREMENTS}:
            self.drop(session, kind)
        self.refresh(session)

    def drop(self, session: SlideSession, kind: str) -> None:
        """Remove the layer of this kind, if there is one."""
        if kind in session.layers:
            self._drop(session, kind)

    def _drop(self, session: SlideSession, kind: str) -> int:
        layer = session.layers.pop(kind)
        if kind == FINER:
            _show_map(session)
        place: int = self.viewer.layers.index(layer)
        self.viewer.layers.remove(layer)
        return place

    def _on_layers(self, _event: Any = None) -> None:
        present = list(self.viewer.layers)
        known = {id(session.layer) for session in self._sessions}
        gone = [session for session in self._sessions if session.layer not in present]
        for session in gone:
            self._sessions.remove(session)
            call_later(partial(remove_results, self._viewer, session))
        for session in self._sessions:
            before, had_finer = session.outline_layers(), FINER in session.layers
            session.layers = {kind: layer for kind, layer in session.layers.items() if layer in present}
            if had_finer and FINER not in session.layers:  # the user removed it
                session.finer = None
                _show_map(session)
            if len(session.outline_layers()) < len(before):
                session.agreement = None  # it refers to outlines that were removed
                call_later(partial(self._update_table_if_open, session))  # the window may be closing
        opened = []
        for layer in present:
            tag = tag_of(layer.metadata)
            if tag is not None and tag.kind == "slide" and id(layer) not in known:
                opened.append(SlideSession(layer, tag.source))
                place_beside_others(opened[-1], [*self._sessions, *opened[:-1]])
                watch_placement(opened[-1])
        self._sessions += opened
        if opened or self._current in gone:
            self._current = self._sessions[-1] if self._sessions else None
            self.changed.emit()

    def _update_table_if_open(self, session: SlideSession) -> None:
        """Update the segment table of a slide if it and the window are still open."""
        if session in self._sessions and self._viewer() is not None:
            self.update_table(session)

    def _sees_all(self) -> bool:
        slide, viewer = self._current, self._viewer()
        return (
            slide is not None
            and viewer is not None
            and sees_all(viewer, slide.source.info.size_px0, slide.source.place)
        )

    def _on_active(self, _event: Any = None) -> None:
        active = self.viewer.layers.selection.active
        for session in self._sessions:
            if active is not None and (active is session.layer or active in session.layers.values()):
                if session is not self._current:
                    self._current = session
                    self.changed.emit()
                return


def _show_map(session: SlideSession) -> None:
    """Show the map of the whole slide again, which a finer one had replaced."""
    if "probability" in session.layers:
        session.layers["probability"].visible = True


_sessions: weakref.WeakKeyDictionary[Viewer, Sessions] = weakref.WeakKeyDictionary()


def sessions_of(viewer: Viewer) -> Sessions:
    """Return the sessions of a viewer, the same object for every dock."""
    viewer = real_viewer(viewer)  # each dock gets a different proxy
    if viewer not in _sessions:
        _sessions[viewer] = Sessions(viewer)
    return _sessions[viewer]
