"""Load or draw outlines, compare them with the segments, and show patches above a threshold."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from sam_mil_engine.annotations.geojson import write_geojson
from sam_mil_engine.errors import Cancelled, SamMilError

from ...analysis.agreement import Agreement, compare_with_outlines, load_outlines
from ...analysis.comparison import Side, find_candidates, predict_sides
from ...background.dock_jobs import DockJobs
from ...background.waiting import wait_for
from ...layers.annotations import CLASS, annotations_layer, drop_extra_rows, shapes_layer, update_outline_image
from ...layers.preload import while_loading
from ...layers.results import LayerData
from ...layers.view import view_px0
from ...napari_compat.event_loop import call_later
from ...notices import show_error
from ...session.annotations import SlideOutlines, classes_of, same_objects, snapshot_outlines
from ...session.slide import SlideSession
from ...writer import write_segments_file
from ..dock import Dock
from ..parts import scrolling
from .agreement_card import AgreementCard
from .comparison_window import ComparisonDock, open_comparison
from .outlines_card import OutlinesCard
from .threshold_card import FigureCard

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

    from sam_mil_engine.annotations.model import Annotation
    from sam_mil_engine.progress import ProgressCallback

#: Milliseconds after the last change of the outlines until they are compared.
SETTLED = 400
#: Events of a layer after which its outlines may have changed.
_CHANGES = ("data", "features", "scale", "translate", "rotate", "shear", "affine")


class AnnotationsDock(Dock):
    """Outlines, agreement, and patches above a threshold. Each block is a card."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__(napari_viewer)
        self._compared: tuple[Any, ...] = ()
        self._watched: weakref.WeakSet[Layer] = weakref.WeakSet()
        self.jobs, self.saver, self.predictor = DockJobs(self), DockJobs(self), DockJobs(self)
        self.comparison_dock: ComparisonDock | None = None
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
        self.outlines.edit_clicked.connect(self.edit)
        self.outlines.class_edited.connect(self._on_class_edited)
        self.agreement.class_chosen.connect(self._on_class_chosen)
        self.agreement.colour_chosen.connect(self._on_colour)
        self.agreement.save_clicked.connect(self.save)
        self.figure.beside_clicked.connect(self.show_beside)
        self.jobs.changed.connect(self._enable)
        self._sessions.changed.connect(self._show_current)
        self._show_current()

    def load(self, path: Path) -> None:
        """Read a file of outlines and show it instead of the current outlines."""
        self._read([path], None)

    def add(self, paths: Sequence[Path]) -> None:
        """Read files of outlines and add them to the current outlines."""
        session = self._sessions.current
        if self.jobs.busy:
            call_later(partial(self.add, paths), after_ms=SETTLED)
        elif session is not None:
            self._read(paths, session)

    def _read(self, paths: Sequence[Path], kept_of: SlideSession | None) -> None:
        session = self._sessions.current
        if session is None:
            return
        info = session.source.info
        before = SlideOutlines if kept_of is None else snapshot_outlines(kept_of)

        def read(progress: ProgressCallback) -> tuple[dict[str, LayerData], list[str], list[str]]:
            outlined = before()
            said: list[str] = []
            notes: list[str] = []
            for path in paths:
                found = load_outlines(path, info, progress=progress)
                outlined = outlined.with_added(found.annotations)
                said += [found.summary] if found.summary else []
                notes += found.notes
            return outlined.layers(session), said, notes

        def show(result: tuple[dict[str, LayerData], list[str], list[str]]) -> None:
            layers, said, notes = result
            if self._show_layers(session, layers):
                names = ", ".join(path.name for path in paths)
                self.outlines.say(" ".join([f"Loaded from {names}.", *said]), notes)
                self.compare()

        self.jobs.start(
            lambda progress: while_loading(lambda: read(progress)), doing="Loading the outlines", then=show
        )

    def edit(self, classification: str | None) -> None:
        """Convert the outlines of a class, or those in view if None, to editable shapes."""
        session = self._sessions.current
        if session is None:
            return
        before = snapshot_outlines(session)
        bounds = view_px0(self._sessions.viewer, session.source.place) if classification is None else None
        what = "in view" if classification is None else f"of the class {classification}"

        def change(_progress: object) -> dict[str, LayerData]:
            return while_loading(lambda: before().made_editable(classification, bounds, what).layers(session))

        def show(layers: dict[str, LayerData]) -> None:
            if self._show_layers(session, layers):
                layer = session.layers["annotations"]
                self._sessions.viewer.layers.selection.active = layer
                layer.mode = "select"

        self.jobs.start(change, doing="Making the outlines editable", then=show)

    def draw(self) -> None:
        """Select the layer of outlines and its lasso tool, so that the user can drag around an area."""
        session = self._sessions.current
        if session is None:
            return
        if "annotations" not in session.layers:
            empty = shapes_layer([], session.source.info, mpp=session.source.place)
            self._show_layers(session, {"annotations": empty}, keep=True)
        layer = session.layers["annotations"]
        layer.visible = True
        self._sessions.viewer.layers.selection.active = layer
        layer.mode = "add_polygon_lasso"
        self._on_class_edited(self.outlines.drawn_class)

    def compare(self) -> None:
        """Compare the segments of the current slide with its outlines, if there are both."""
        session = self._sessions.current
        if session is None or session.analysis is None or session.analysis.processed.segments is None:
            return
        self._timer.stop()
        if self.jobs.busy:
            self._timer.start()
            return
        outlines, analysis = snapshot_outlines(session), session.analysis
        chosen = session.agreement.chosen if session.agreement is not None else self.agreement.chosen
        basis = self._compared = self._basis(session)

        def work(progress: ProgressCallback) -> Agreement | None:
            annotations = outlines().all
            return compare_with_outlines(analysis, annotations, progress=progress) if annotations else None

        def keep(found: Agreement | None) -> None:
            if same_objects(basis, self._basis(session)):
                session.agreement = None if found is None else found.choose(chosen)
                self._sessions.update_table(session)

        self.jobs.start(work, doing="Comparing segments and outlines", then=keep)

    def show_beside(self) -> None:
        """Compare two classifiers that fit the slide in a new window, SAM-MIL and AB-MIL first."""
        session = self._sessions.current
        if session is None or session.analysis is None:
            return
        analysis, outlines = session.analysis, snapshot_outlines(session)

        def work(progress: ProgressCallback) -> tuple[list[Side], LayerData]:
            found = predict_sides(analysis, find_candidates(analysis), progress=progress)
            return found, annotations_layer(outlines().all, session.source.info, mpp=session.source.place)

        def show(found: tuple[list[Side], LayerData]) -> None:
            self.comparison_dock = open_comparison(session, analysis, *found)

        self.predictor.start(work, doing="Comparing two classifiers", then=show)

    def save(self, path: Path) -> None:
        """Save the segments with all their metrics: the table as CSV, or the areas as GeoJSON."""
        session = self._sessions.current
        if session is None or session.analysis is None or session.analysis.processed.segments is None:
            return
        segments, table, info = session.analysis.processed.segments, session.table(), session.source.info
        self.saver.start(
            lambda _: write_segments_file(path, segments, table, info=info),
            doing="Saving the segments",
            then=lambda _: self.outlines.say(f"Saved {path.name}"),
        )

    def save_outlines(self, path: Path) -> None:
        """Save the outlines as GeoJSON for QuPath. The window stays responsive in the meantime."""
        session = self._sessions.current
        if session is None:
            return
        outlines, info = snapshot_outlines(session), session.source.info
        try:
            wait_for(lambda _: write_geojson(path, outlines().all, info=info), f"Saving {path.name}")
        except Cancelled:
            return
        except SamMilError as error:
            show_error(error, doing="Saving the outlines")
        else:
            self.outlines.say(f"Saved {path.name}")

    def _show_layers(self, session: SlideSession, layers: dict[str, LayerData], *, keep: bool = False) -> bool:
        """Show exactly these layers of outlines; return False if their slide was closed in the meantime."""
        if session not in self._sessions.all():
            return False
        for kind in () if keep else {"outlines", "annotations"} - set(layers):
            self._sessions.drop(session, kind)
        for kind, data in layers.items():
            old = session.layers.get(kind)
            if old is None or not update_outline_image(old, data):
                layer = self._sessions.put(session, kind, data)
                if kind == "annotations":
                    drop_extra_rows(layer)
        self._sessions.changed.emit()
        return True

    def _annotations(self, session: SlideSession) -> list[Annotation]:
        return snapshot_outlines(session)().all

    def _basis(self, session: SlideSession) -> tuple[Any, ...]:
        """Return what a comparison depends on: the slide, its results, and its layers of outlines."""
        return (session, session.analysis, *session.outline_layers())

    def _on_drawn(self, _event: object = None) -> None:
        self._describe(self._sessions.current)
        self._timer.start()

    def _on_class_edited(self, name: str) -> None:
        session = self._sessions.current
        layer = None if session is None else session.layers.get("annotations")
        if layer is not None and name:
            layer.feature_defaults = layer.feature_defaults.assign(**{CLASS: name})

    def _on_class_chosen(self, name: str) -> None:
        session = self._sessions.current
        if session is not None and session.agreement is not None:
            session.agreement = session.agreement.choose(name)
            self._sessions.update_table(session)

    def _on_colour(self, column: str | None) -> None:
        session = self._sessions.current
        if session is not None and session.colour_by != column:
            session.colour_by = column
            layer = session.layers.get("segments")
            if layer is not None and column is not None:
                layer.visible = True
            self._sessions.update_table(session)

    def _show_current(self) -> None:
        session = self._sessions.current
        self._describe(session)
        self.agreement.show_session(session)
        self.figure.show_session(session)
        self._enable()
        if session is None or not session.outline_layers():
            return
        for layer in session.outline_layers():
            if layer not in self._watched:
                self._watched.add(layer)
                for change in _CHANGES:
                    getattr(layer.events, change).connect(self._on_drawn)
        if session.agreement is None and not same_objects(self._compared, self._basis(session)):
            self._timer.start()

    def _describe(self, session: SlideSession | None) -> None:
        layers = {} if session is None else session.layers
        many, shapes = (classes_of(layers[kind]) if kind in layers else [] for kind in ("outlines", "annotations"))
        self.outlines.show_classes([*many, *shapes], ready=session is not None)
        self.outlines.show_many(many)

    def _enable(self) -> None:
        self.outlines.set_busy(self.jobs.busy)
