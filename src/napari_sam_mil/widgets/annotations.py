"""Outlines of a person beside the segments: load or draw, compare, see the paper's Figure 6."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from sam_mil_engine.annotations.geojson import write_geojson
from sam_mil_engine.errors import SamMilError

from ..agreement import Agreement, compare, load
from ..beside import Side, candidates, sides
from ..notices import show_error
from ..outlines import annotations_layer, shape_annotations
from ..session import SlideSession
from ..writer import write_segments_geojson, write_table
from .agreement_card import AgreementCard
from .beside import BesideDock, open_beside
from .dock import Dock
from .figure_card import FigureCard
from .outlines_card import OutlinesCard
from .parts import scrolling
from .work import Worker

if TYPE_CHECKING:
    from napari.layers import Layer, Shapes
    from napari.viewer import Viewer

    from sam_mil_engine.annotations.model import Annotation

    from ..analysis import Analysis

#: Milliseconds after the last change of the drawing before it is compared.
SETTLED = 400


class AnnotationsDock(Dock):
    """Outlines, agreement, Figure 6; each block is a card of its own."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__(napari_viewer)
        self._compared: tuple[SlideSession | None, Analysis | None] = (None, None)
        self._watched: weakref.WeakSet[Layer] = weakref.WeakSet()
        self.worker, self.saver, self.predictor = Worker(self), Worker(self), Worker(self)
        self.beside_dock: BesideDock | None = None
        self.outlines, self.agreement, self.figure = OutlinesCard(), AgreementCard(), FigureCard(self._sessions)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(8)
        for card in (self.outlines, self.agreement, self.figure):
            column.addWidget(card)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(content))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLED)
        self._timer.timeout.connect(self.compare)
        self.outlines.load_clicked.connect(self.load)
        self.outlines.draw_clicked.connect(self.draw)
        self.outlines.save_clicked.connect(self.save_outlines)
        self.outlines.class_edited.connect(self._on_class_edited)
        self.agreement.class_chosen.connect(self._on_class_chosen)
        self.agreement.colour_chosen.connect(self._on_colour)
        self.agreement.save_clicked.connect(self.save)
        self.figure.beside_clicked.connect(self.show_beside)
        self.worker.changed.connect(self._enable)
        self._sessions.changed.connect(self._show_current)
        self._show_current()

    def load(self, path: Path) -> None:
        """Read a file of outlines and show it in place of those that are there."""
        session = self._sessions.current
        if session is None:
            return
        info = session.source.info

        def show(found: list[Annotation]) -> None:
            self._put(session, found)
            self.outlines.say(f"Loaded from {path.name}")
            self.compare()

        self.worker.start(
            lambda progress: load(path, info, progress=progress), doing="Loading the outlines", then=show
        )

    def draw(self) -> None:
        """Make the layer of outlines ready to draw in, by dragging around an area."""
        session = self._sessions.current
        if session is None:
            return
        layer = session.layers.get("annotations") or self._put(session, [])
        layer.visible = True
        self._sessions.viewer.layers.selection.active = layer
        layer.mode = "add_polygon_lasso"
        self._on_class_edited(self.outlines.drawn_class)

    def compare(self) -> None:
        """Compare the segments of the current slide with its outlines, where there are both."""
        session = self._sessions.current
        if session is None or session.analysis is None or session.analysis.processed.segments is None:
            return
        self._timer.stop()
        if self.worker.busy:
            self._timer.start()
            return
        annotations, analysis = self._annotations(session), session.analysis
        if not annotations:
            session.agreement = None
            self._sessions.retable(session)
            return
        chosen = session.agreement.chosen if session.agreement is not None else self.agreement.chosen

        def keep(found: Agreement) -> None:
            if session.analysis is analysis:
                session.agreement = found.choose(chosen)
                self._sessions.retable(session)

        self._compared = (session, analysis)
        self.worker.start(
            lambda progress: compare(analysis, annotations, progress=progress),
            doing="Comparing segments and outlines",
            then=keep,
        )

    def show_beside(self) -> None:
        """Show two classifiers that fit the slide in a window of its own, SAM-MIL and AB-MIL first."""
        session = self._sessions.current
        if session is None or session.analysis is None:
            return
        analysis, outlines = session.analysis, self._annotations(session)

        def show(found: list[Side]) -> None:
            self.beside_dock = open_beside(session, analysis, found, outlines)

        self.predictor.start(
            lambda progress: sides(analysis, candidates(analysis), progress=progress),
            doing="Showing two classifiers side by side",
            then=show,
        )

    def save(self, path: Path) -> None:
        """Save the segments with all their figures: ``.csv`` the table, ``.geojson`` the areas for QuPath."""
        session = self._sessions.current
        if session is None or session.analysis is None or session.analysis.processed.segments is None:
            return
        segments, table, info = session.analysis.processed.segments, session.table(), session.source.info

        def write(_progress: object) -> str:
            if path.suffix.lower() == ".csv":
                return write_table(path, table)
            return write_segments_geojson(path, segments, table, info=info)

        self.saver.start(write, doing="Saving the segments", then=lambda _: self.outlines.say(f"Saved {path.name}"))

    def save_outlines(self, path: Path) -> None:
        """Save the outlines as GeoJSON that QuPath opens."""
        session = self._sessions.current
        if session is None:
            return
        try:
            write_geojson(path, self._annotations(session), info=session.source.info)
        except SamMilError as error:
            show_error(error, doing="Saving the outlines")
        else:
            self.outlines.say(f"Saved {path.name}")

    def _put(self, session: SlideSession, found: list[Annotation]) -> Shapes:
        data = annotations_layer(found, session.source.info, mpp=session.source.mpp)
        layer: Shapes = self._sessions.put(session, "annotations", data)
        self._sessions.changed.emit()
        return layer

    def _annotations(self, session: SlideSession) -> list[Annotation]:
        layer = session.layers.get("annotations")
        if layer is None:
            return []
        data, meta, _ = layer.as_layer_data_tuple()
        return shape_annotations(data, meta, mpp=session.source.mpp)

    def _on_drawn(self, _event: object = None) -> None:
        self._describe(self._sessions.current)
        self._timer.start()

    def _on_class_edited(self, name: str) -> None:
        session = self._sessions.current
        layer = None if session is None else session.layers.get("annotations")
        if layer is not None and name:
            layer.feature_defaults = {"class": [name]}

    def _on_class_chosen(self, name: str) -> None:
        session = self._sessions.current
        if session is not None and session.agreement is not None:
            session.agreement = session.agreement.choose(name)
            self._sessions.retable(session)

    def _on_colour(self, column: str | None) -> None:
        session = self._sessions.current
        if session is not None and session.colour_by != column:
            session.colour_by = column
            layer = session.layers.get("segments")
            if layer is not None and column is not None:
                layer.visible = True
            self._sessions.retable(session)

    def _show_current(self) -> None:
        session = self._sessions.current
        self._describe(session)
        self.agreement.show_session(session)
        self.figure.show_session(session)
        self._enable()
        if session is None or "annotations" not in session.layers:
            return
        layer = session.layers["annotations"]
        if layer not in self._watched:
            self._watched.add(layer)
            layer.events.data.connect(self._on_drawn)
        fresh = self._compared[0] is not session
        if session.agreement is None and (fresh or self._compared[1] is not session.analysis):
            self._timer.start()

    def _describe(self, session: SlideSession | None) -> None:
        layer = None if session is None else session.layers.get("annotations")
        names = [] if layer is None else [str(name) for name in layer.features.get("class", [])]
        self.outlines.show_classes(names, ready=session is not None)

    def _enable(self) -> None:
        self.outlines.set_busy(self.worker.busy)
