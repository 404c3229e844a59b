"""A window that compares two classifiers on one slide, with linked views and one threshold (Figure 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QHBoxLayout, QSlider, QVBoxLayout, QWidget
from superqt.utils import signals_blocked

from ...analysis.comparison import Side, describe_side
from ...analysis.placement import Place
from ...analysis.threshold import DECIMALS
from ...layers.comparison import cell_layers
from ...layers.threshold_map import threshold_image
from ..linked_views import fit_cells, linked_window, show_cells, slide_image, when_settled
from ..parts import Card, ShortCombo, scrolling, text_label

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from ...analysis.model import Analysis
    from ...layers.results import LayerData
    from ...session.slide import SlideSession

#: Layers of one cell, from bottom to top: slide, map, patches above the threshold, outlines.
CELL = 4
_STEPS = 1000
_SHOWN = {"patches": "Patches above the threshold", "map": "Map", "both": "Both"}
_QUANTITIES = {"attention": "Attention", "probability": "Probability"}


class ComparisonDock(QWidget):
    """The choice of two classifiers, what is shown of them, one threshold, and its effect on each side."""

    def __init__(
        self,
        viewer: Viewer,
        session: SlideSession,
        analysis: Analysis,
        sides: Sequence[Side],
        outlines: LayerData,
    ):
        super().__init__()
        self._viewer, self._analysis, self._sides, self._mpp = viewer, analysis, list(sides), session.source.mpp
        patches = None if session.agreement is None else session.agreement.comparison.patches
        self._inside = None if patches is None else patches.inside
        self.models = (ShortCombo(), ShortCombo())
        self.quantity, self.shown = ShortCombo(), ShortCombo()
        self.slider, self.spin = QSlider(Qt.Orientation.Horizontal), QDoubleSpinBox()
        self.facts = (text_label(), text_label())
        self._lay_out()
        for place, box in enumerate(self.models):
            box.addItems([side.title for side in sides])
            box.setCurrentIndex(place)
            box.currentIndexChanged.connect(self._on_choice)
        self.quantity.currentIndexChanged.connect(self._on_quantity)
        self.shown.currentIndexChanged.connect(self._on_choice)
        self.slider.valueChanged.connect(lambda step: self.spin.setValue(step / _STEPS * self.spin.maximum()))
        self.spin.valueChanged.connect(self._on_threshold)
        self._show_slide(session, outlines)
        self._on_quantity()
        when_settled(self, self.fit)

    @property
    def pair(self) -> tuple[Side, Side]:
        """The two shown sides, left and right."""
        left, right = (self._sides[box.currentIndex()] for box in self.models)
        return left, right

    def fit(self) -> None:
        """Show the whole slide on both sides."""
        fit_cells(self._viewer)

    def _show_slide(self, session: SlideSession, outlines: LayerData) -> None:
        cells = []
        for side in self.pair:
            above = [Layer.create(*data) for data in (*self._cell(side), outlines)]
            cells.append([slide_image(session.layer.data, Place(self._mpp)), *above])
        show_cells(self._viewer, cells, scale_bar=self._mpp is not None)

    def _cell(self, side: Side) -> list[LayerData]:
        return cell_layers(
            *(side, self._analysis),
            quantity=self._name,
            threshold=self.spin.value(),
            shown=str(self.shown.currentData()),
            mpp=self._mpp,
        )

    def _on_quantity(self) -> None:
        found = [numbers for side in self.pair if (numbers := side.quantity(self._name)) is not None]
        with signals_blocked(self.spin):
            self.spin.setRange(0.0, max((one.high for one in found), default=1.0))
            self.spin.setValue(found[0].start if found else 0.5)
        self._on_choice()

    def _on_choice(self) -> None:
        for cell, side in enumerate(self.pair):
            base, *maps = self._viewer.layers[cell * CELL : cell * CELL + CELL - 1]
            base.name = side.title
            # updated in place: napari's grid does not support inserting layers between others
            for layer, (array, keywords, _) in zip(maps, self._cell(side), strict=True):
                layer.data = array
                for name in ("name", "visible", "colormap", "contrast_limits"):
                    setattr(layer, name, keywords[name])
        self._describe()

    def _on_threshold(self, value: float) -> None:
        with signals_blocked(self.slider):
            self.slider.setValue(round(value / self.spin.maximum() * _STEPS))
        grid = self._analysis.processed.grid
        for cell, side in enumerate(self.pair):
            numbers = side.quantity(self._name)
            if numbers is not None and grid is not None:
                self._viewer.layers[cell * CELL + 2].data = threshold_image(numbers.values, value, grid)
        self._describe()

    def _describe(self) -> None:
        with signals_blocked(self.slider):
            self.slider.setValue(round(self.spin.value() / self.spin.maximum() * _STEPS))
        for label, side in zip(self.facts, self.pair, strict=True):
            label.setText(f"{side.title}: {describe_side(side, self._name, self.spin.value(), self._inside)}")

    @property
    def _name(self) -> str:
        return str(self.quantity.currentData())

    def _lay_out(self) -> None:
        for box, entries in ((self.quantity, _QUANTITIES), (self.shown, _SHOWN)):
            for name, text in entries.items():
                box.addItem(text, name)
        self.spin.setDecimals(DECIMALS)
        self.spin.setSingleStep(0.01)
        self.spin.setKeyboardTracking(False)
        self.spin.setAccessibleName("Threshold as a number")
        self.spin.setToolTip("The threshold for both sides, as a number")
        self.slider.setRange(0, _STEPS)
        self.slider.setAccessibleName("Threshold")
        self.slider.setToolTip("One threshold for both sides; arrow keys move it in small steps")
        self.quantity.setToolTip("Which score of the patches is shown; an attention of 1 is that of the mean patch")
        self.shown.setToolTip("The map of the score, the patches at or above the threshold in cyan, or both")
        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self.spin)
        form = QFormLayout()
        for text, widget in (("L&eft", self.models[0]), ("&Right", self.models[1])):
            widget.setToolTip("The classifier on this side; all classifiers that fit the slide are listed")
            form.addRow(text, widget)
        form.addRow("Sc&ore", self.quantity)
        form.addRow("&Show", self.shown)
        form.addRow("Threshold", row)
        card = Card("Two classifiers on one slide")
        card.body.addLayout(form)
        for label in self.facts:
            card.body.addWidget(label)
        card.body.addWidget(
            text_label("The two views are linked. The outlines are those of the Annotations dock.", faint=True)
        )
        content = QWidget()
        column = QVBoxLayout(content)
        column.addWidget(card)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(content))


def open_comparison(
    session: SlideSession, analysis: Analysis, sides: Sequence[Side], outlines: LayerData
) -> ComparisonDock:
    """Open the window with the first two classifiers, and return its dock."""
    slide_id = session.source.info.slide_id
    viewer = linked_window(f"{slide_id}: {sides[0].title} and {sides[1].title}")
    dock = ComparisonDock(viewer, session, analysis, sides, outlines)
    viewer.window.add_dock_widget(dock, name="Two classifiers", area="right")
    return dock
