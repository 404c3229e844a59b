"""A window with two slides side by side, whose views are linked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Layer
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout, QPushButton, QVBoxLayout, QWidget

from sam_mil_engine.geometry import Frame

from ...analysis.pair import PairSide, aligned, common_resolution
from ...analysis.placement import Place, place_raster
from ...layers.results import LayerData, probability_layer
from ..linked_views import fit_cells, linked_window, show_cells, slide_image, when_settled
from ..parts import Card, scrolling, text_label

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: Layers of one cell, from bottom to top: slide, map.
CELL = 2
#: The right slide can be moved this far, in µm or pixels, and by this much with an arrow key.
_FAR, _STEP = 1e6, 10.0


class PairDock(QWidget):
    """Whether the maps are shown, and how far the right slide is moved so that both show the same place."""

    def __init__(self, viewer: Viewer, left: PairSide, right: PairSide):
        super().__init__()
        self._viewer, self._sides = viewer, (left, right)
        self.maps = QCheckBox("&Maps")
        self.maps.setChecked(True)
        self.maps.setToolTip("Show the probability of the patches of both slides")
        self.right, self.down = QDoubleSpinBox(), QDoubleSpinBox()
        self.whole = QPushButton("W&hole slides")
        self.whole.setToolTip("Show both slides as a whole")
        self._unit = "px" if common_resolution(left, right)[0] is None else "µm"
        self._lay_out()
        self._show_slides()
        self.maps.toggled.connect(self._on_maps)
        self.right.valueChanged.connect(self._on_shift)
        self.down.valueChanged.connect(self._on_shift)
        self.whole.clicked.connect(self.fit)
        when_settled(self, self.fit)

    def fit(self) -> None:
        """Show both slides as a whole."""
        fit_cells(self._viewer)

    def _show_slides(self) -> None:
        places = aligned(*self._sides)
        self._place = places[1]
        cells = [
            [slide_image(side.levels, place, name=side.title), Layer.create(*_map(side, place))]
            for side, place in zip(self._sides, places, strict=True)
        ]
        show_cells(self._viewer, cells, scale_bar=self._unit == "µm")

    def _on_maps(self, on: bool) -> None:
        for cell in range(len(self._sides)):
            self._viewer.layers[cell * CELL + 1].visible = on

    def _on_shift(self, _value: float) -> None:
        """Move the right slide and its map."""
        _, place = aligned(*self._sides, shift=(self.right.value(), self.down.value()))
        slide, over = self._viewer.layers[CELL : 2 * CELL]
        slide.translate = place_raster(Frame(), place)["translate"]
        over.translate = np.asarray(over.translate) + place.origin - self._place.origin
        self._place = place

    def _lay_out(self) -> None:
        form = QFormLayout()
        for label, box, way in (("&Right", self.right, "to the right"), ("&Down", self.down, "down")):
            box.setRange(-_FAR, _FAR)
            box.setSingleStep(_STEP)
            box.setDecimals(0)
            box.setSuffix(f" {self._unit}")
            box.setToolTip(f"Move the right slide {way}, so that both views show the same place")
            form.addRow(label, box)
        card = Card("Two slides side by side")
        card.body.addWidget(self.maps)
        card.body.addWidget(text_label("Move the right slide:", faint=True))
        card.body.addLayout(form)
        card.body.addWidget(self.whole)
        card.body.addWidget(text_label(self._facts(), faint=True))
        content = QWidget()
        column = QVBoxLayout(content)
        column.addWidget(card)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(content))

    def _facts(self) -> str:
        """Say how the two slides are linked."""
        text = "The two views are linked: they pan and zoom together. The middles of the tissue lie side by side."
        if self._unit == "px":
            text += " The resolution of one slide is not known, so both are shown by their pixels."
        missing = [side.title for side in self._sides if side.analysis is None or side.analysis.scores is None]
        return text + (f" There is no map of {' and '.join(missing)}." if missing else "")


def open_pair(left: PairSide, right: PairSide) -> PairDock:
    """Open the window for two slides, and return its dock."""
    viewer = linked_window(f"{left.title} and {right.title}")
    dock = PairDock(viewer, left, right)
    viewer.window.add_dock_widget(dock, name="Two slides", area="right")
    return dock


def _map(side: PairSide, place: Place) -> LayerData:
    """Return the map of a slide; an empty one if it has none, since both cells need as many layers."""
    analysis = side.analysis
    if analysis is None or analysis.scores is None or analysis.processed.grid is None:
        empty = np.full((1, 1), np.nan, dtype=np.float32)
        return empty, {"name": f"no map: {side.title}", **place_raster(Frame(), place)}, "image"
    data, keywords, kind = probability_layer(
        analysis.scores, analysis.processed.grid, mpp=place, tissue=analysis.processed.tissue
    )
    return data, keywords | {"name": f"{keywords['name']}: {side.title}"}, kind
