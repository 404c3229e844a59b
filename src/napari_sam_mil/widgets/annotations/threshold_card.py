"""Show the patches above a threshold in cyan, under the blue outlines (the paper's Figure 6)."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QPushButton, QSlider

from sam_mil_engine.drawing.colours import ANNOTATION, POSITIVE, css

from ...analysis.threshold import DECIMALS, Quantity, describe, quantities
from ...layers.results import RESULT_KINDS
from ...layers.threshold_map import threshold_image, threshold_layer
from ..parts import Card, ShortCombo, text_label

if TYPE_CHECKING:
    from ...session.slide import SlideSession
    from ...session.viewer import Sessions

_STEPS = 1000
_NO_SCORES = "Press Segment/Classify in the Analyze dock. You can then show the patches above a threshold."


class FigureCard(Card):
    """A box to show the patches above a threshold, the slider that moves it, and what that means."""

    beside_clicked = Signal()

    def __init__(self, sessions: Sessions) -> None:
        super().__init__("Patches above a threshold")
        self._sessions = sessions
        self._session: SlideSession | None = None
        self._quantities: dict[str, Quantity] = {}
        self._hidden: list[str] = []
        self.show_box = QCheckBox("Pa&tches above the threshold")
        self.show_box.setToolTip(
            "Show cyan patches under the blue outlines and hide the maps (the paper's Figure 6)"
        )
        self.choice = ShortCombo()
        self.choice.setToolTip("The patch score to which the threshold applies")
        self.choice.setAccessibleName("Patch score")
        self.slider, self.spin = QSlider(Qt.Orientation.Horizontal), QDoubleSpinBox()
        self.slider.setRange(0, _STEPS)
        self.slider.setAccessibleName("Threshold")
        self.slider.setToolTip("The threshold; arrow keys move it in small steps")
        self.spin.setDecimals(DECIMALS)
        self.spin.setSingleStep(0.01)
        self.spin.setKeyboardTracking(False)
        self.spin.setAccessibleName("Threshold as a number")
        self.spin.setToolTip("The threshold as a number")
        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self.spin)
        self.facts = text_label(_NO_SCORES)
        self.legend = text_label(_legend("at or above the threshold"), rich=True)
        self.beside = QPushButton("Compare two class&ifiers…")
        self.beside.setToolTip(
            "Compare two classifiers on this slide in a new window, with linked views and one threshold"
        )
        self.beside.clicked.connect(self.beside_clicked)
        for widget in (self.show_box, self.choice):
            self.body.addWidget(widget)
        self.body.addLayout(row)
        self.body.addWidget(self.facts)
        self.body.addWidget(self.legend)
        self.body.addWidget(self.beside)
        self.show_box.toggled.connect(self._on_toggled)
        self.choice.activated.connect(self._on_choice)
        self.slider.valueChanged.connect(self._on_slider)
        self.spin.valueChanged.connect(self._on_spin)

    @property
    def quantity(self) -> Quantity | None:
        """What is cut, or None where nothing can be."""
        return self._quantities.get(self.choice.currentData())

    def show_session(self, session: SlideSession | None) -> None:
        """Show a slide; the threshold stays where it was as long as the slide does."""
        analysis = None if session is None else session.analysis
        scores = None if analysis is None else analysis.scores
        other = session is not self._session or bool(scores) != bool(self._quantities)
        self._session = session
        self._quantities = {} if scores is None else quantities(scores)
        for widget in (self.show_box, self.choice, self.slider, self.spin, self.legend, self.beside):
            widget.setEnabled(bool(self._quantities))
        if other:
            self._hidden = []
            self.choice.clear()
            for name, quantity in self._quantities.items():
                self.choice.addItem(quantity.title, name)
            self._on_choice()
        shown = session is not None and "above" in session.layers
        self.show_box.blockSignals(True)
        self.show_box.setChecked(shown)
        self.show_box.blockSignals(False)
        if shown:
            self._put()
        self._describe()

    def _on_choice(self, _place: int = 0) -> None:
        quantity = self.quantity
        if quantity is not None:
            self.legend.setText(_legend(f"{quantity.legend} at or above the threshold"))
            self.spin.setRange(0.0, quantity.high)
            self.spin.setValue(quantity.start)
            self._on_spin(self.spin.value())

    def _on_slider(self, step: int) -> None:
        if self.quantity is not None:
            self.spin.setValue(step / _STEPS * self.quantity.high)

    def _on_spin(self, value: float) -> None:
        if self.quantity is None:
            return
        self.slider.blockSignals(True)
        self.slider.setValue(round(value / self.quantity.high * _STEPS))
        self.slider.blockSignals(False)
        self._describe()
        if self.show_box.isChecked():
            self._put()

    def _on_toggled(self, on: bool) -> None:
        session = self._session
        if session is None:
            return
        if not on:
            self._sessions.drop(session, "above")
            for kind in self._hidden:
                if kind in session.layers:
                    session.layers[kind].visible = True
            self._hidden = []
            return
        maps = [kind for kind in RESULT_KINDS if kind != "tissue" and kind in session.layers]
        self._hidden = [kind for kind in maps if session.layers[kind].visible]
        for kind in self._hidden:
            session.layers[kind].visible = False
        self._put()

    def _put(self) -> None:
        session, quantity = self._session, self.quantity
        grid = None if session is None or session.analysis is None else session.analysis.processed.grid
        if session is None or quantity is None or grid is None:
            return
        layer = session.layers.get("above")
        picture = threshold_image(quantity.values, self.spin.value(), grid)
        if layer is not None and layer.data.shape == picture.shape:
            layer.data = picture
            return
        data = threshold_layer(quantity.values, self.spin.value(), grid, mpp=session.source.place)
        self._sessions.put(session, "above", data)
        layers = self._sessions.viewer.layers
        for outlines in session.outline_layers():  # they lie on top
            layers.move(layers.index(outlines), len(layers))

    def _describe(self) -> None:
        quantity, session = self.quantity, self._session
        if quantity is None or session is None:
            self.facts.setText(_NO_SCORES)
            return
        patches = None if session.agreement is None else session.agreement.comparison.patches
        inside = None if patches is None else patches.inside
        self.facts.setText(describe(quantity, self.spin.value(), inside))


def _legend(cyan: str) -> str:
    """Say what cyan and blue are."""
    return (
        f"<span style='color: {css(POSITIVE)}'>■</span> {escape(cyan)} &nbsp;"
        f"<span style='color: {css(ANNOTATION)}'>■</span> outlines"
    )
