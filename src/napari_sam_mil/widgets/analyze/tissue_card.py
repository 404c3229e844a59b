"""Correct the outline of the tissue, and use it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton

from sam_mil_engine.annotations.drawn_tissue import HOLE_CLASS, TISSUE_CLASS
from sam_mil_engine.errors import SamMilError
from sam_mil_engine.slide.tissue_regions import TissueRegions

from ...analysis.drawn_tissue import forget_drawn_tissue, keep_drawn_tissue
from ...layers.annotations import shape_annotations
from ...layers.results import tissue_layer
from ...layers.tissue_edit import begin_editing, draw_next
from ...notices import show_error
from ...session.slide import SlideSession
from ..parts import Card, text_label

if TYPE_CHECKING:
    from napari.layers import Shapes

    from ...session.viewer import Sessions

_HINT = (
    "Move corners, draw or remove polygons of the layer “tissue”, then use it. Orange is cut out; what is drawn"
    " later lies over what was there."
)


class TissueCard(Card):
    """Buttons to edit the outline of the tissue, to use it, and to find the tissue again.

    ``changed`` carries the step to run.
    """

    changed = Signal(str)

    def __init__(self, sessions: Sessions):
        super().__init__("Outline of the tissue")
        self._sessions = sessions
        self.edit, self.use = QPushButton("Edit outline"), QPushButton("Use this tissue")
        self.cut, self.again = QPushButton("Cut a hole"), QPushButton("Find it again")
        self.edit.setToolTip("Correct the outline of the tissue in its layer, or draw it")
        self.use.setToolTip("Use the outline as it is; only what depends on it is computed again")
        self.cut.setToolTip("Draw what is no tissue inside the outline, for example a lumen, a fold or pen")
        self.again.setToolTip("Forget the drawn outline, and find the tissue again")
        self._hint = text_label(_HINT, faint=True)
        self._hint.hide()
        for buttons in ((self.edit, self.cut), (self.use, self.again)):
            row = QHBoxLayout()
            row.setSpacing(4)
            for button in buttons:
                row.addWidget(button)
            self.body.addLayout(row)
        self.body.addWidget(self._hint)
        self.edit.clicked.connect(self._on_edit)
        self.cut.clicked.connect(self._on_cut)
        self.use.clicked.connect(self._on_use)
        self.again.clicked.connect(self._on_again)
        #: Folder of the results; the dock keeps it up to date.
        self.project = Path()

    def show_session(self, session: SlideSession | None, *, ready: bool) -> None:
        """Enable what can be done with a slide."""
        self.edit.setEnabled(ready)
        self.cut.setEnabled(ready and session is not None and "tissue" in session.layers)
        self.use.setEnabled(ready and session is not None and session.tissue_in_hand)
        drawn = session is not None and session.analysis is not None and _is_drawn(session)
        self.again.setEnabled(ready and drawn)
        self._hint.setVisible(session is not None and session.tissue_in_hand)

    def _on_edit(self) -> None:
        session = self._sessions.current
        if session is None:
            return
        layer = self._begin(session)
        draw_next(layer, TISSUE_CLASS)
        layer.mode = "direct" if len(layer.data) else "add_polygon"

    def _on_cut(self) -> None:
        session = self._sessions.current
        if session is None:
            return
        layer = self._begin(session)
        draw_next(layer, HOLE_CLASS)
        layer.mode = "add_polygon"

    def _begin(self, session: SlideSession) -> Shapes:
        """Return the layer of the tissue, ready to be edited and selected."""
        if "tissue" not in session.layers:
            nothing = TissueRegions.of((), method="drawn")
            data, keywords, kind = tissue_layer(nothing, session.source.info, mpp=session.source.place)
            self._sessions.put(session, "tissue", (data, {**keywords, "ndim": 2}, kind))
        layer: Shapes = session.layers["tissue"]
        layer.visible = True
        if not session.tissue_in_hand:
            begin_editing(layer)
        session.tissue_in_hand = True
        self._sessions.viewer.layers.selection.active = layer
        self._sessions.changed.emit()
        return layer

    def _on_use(self) -> None:
        session = self._sessions.current
        if session is None or "tissue" not in session.layers:
            return
        layer = session.layers["tissue"]
        data, meta, _ = layer.as_layer_data_tuple()
        try:
            shapes = shape_annotations(data, meta, mpp=session.source.place)
            keep_drawn_tissue(self._folder(session), session.source, shapes)
        except SamMilError as error:
            show_error(error, doing="Using the tissue")
            return
        layer.mode = "pan_zoom"
        self._run(session)

    def _on_again(self) -> None:
        session = self._sessions.current
        if session is None:
            return
        try:
            forget_drawn_tissue(self._folder(session), session.source)
        except SamMilError as error:
            show_error(error, doing="Finding the tissue")
            return
        self._run(session)

    def _folder(self, session: SlideSession) -> Path:
        """Return the project of the results shown, which may be that of a region."""
        return self.project if session.analysis is None else session.analysis.processed.bag_path.parents[1]

    def _run(self, session: SlideSession) -> None:
        """Run the steps whose results are shown."""
        session.tissue_in_hand = False
        self._sessions.changed.emit()
        shown = session.analysis
        if shown is None:
            self.changed.emit("Tissue")
        elif shown.scores is not None:
            self.changed.emit("Classify")
        else:
            done = (shown.processed.segments is not None, shown.processed.bag is not None)
            steps = {(True, True): "Groups", (True, False): "Segment", (False, True): "Features"}
            self.changed.emit(steps.get(done, "Tissue"))


def _is_drawn(session: SlideSession) -> bool:
    tissue = None if session.analysis is None else session.analysis.processed.tissue
    return tissue is not None and tissue.method.startswith("drawn")
