"""Save the view as a figure for print, with width, resolution and caption."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QPlainTextEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from sam_mil_engine.errors import SamMilError
from sam_mil_engine.report.figure import DPI, DPI_RANGE, WIDTH_MM, WIDTH_RANGE_MM

from ...background.dock_jobs import DockJobs
from ...notices import show_error
from ..dock import Dock
from ..parts import Card, scrolling, text_label
from .printing import caption_of, save_figure, scene_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

_NOTHING = "Open a slide first, for example by dragging it into the window."
_WHAT = "The figure shows what is in view: the same layers at print resolution, with scale bar, legend and caption."
_DOING = "Saving the figure"


class FigureDock(Dock):
    """Saves the view as PNG or PDF."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__(napari_viewer)
        self._proposed = ""
        self.jobs = DockJobs(self)
        self.width_mm, self.dpi, self.caption = QDoubleSpinBox(), QSpinBox(), QPlainTextEdit()
        self.width_mm.setRange(*WIDTH_RANGE_MM)
        self.width_mm.setDecimals(0)
        self.width_mm.setValue(WIDTH_MM)
        self.width_mm.setSuffix(" mm")
        self.width_mm.setToolTip(f"Width in print: a journal column is about 85 mm wide, a page {WIDTH_MM:g} mm")
        self.dpi.setRange(*DPI_RANGE)
        self.dpi.setSingleStep(50)
        self.dpi.setValue(DPI)
        self.dpi.setSuffix(" dpi")
        self.dpi.setToolTip(f"Pixels per inch: journals require {DPI}, or 600 for fine lines")
        self.caption.setToolTip("Text below the image; leave it empty for no caption")
        self.caption.setTabChangesFocus(True)
        self.caption.setAccessibleName("Caption")
        self.caption.setMaximumHeight(110)
        # in napari's light theme, the field has the colour of its surroundings
        self.caption.setStyleSheet(
            "QPlainTextEdit { border: 1px solid rgba(128, 128, 128, 130); border-radius: 3px; }"
        )
        self.button = QPushButton("&Save figure…")
        self.button.setToolTip("Save what is in view as PNG or PDF")
        self.button.clicked.connect(self._ask)
        self.said = text_label(_NOTHING, faint=True)
        self._lay_out()
        self.jobs.changed.connect(self._enable)
        self._sessions.changed.connect(self._show_current)
        self._show_current()

    def save(self, path: Path) -> None:
        """Save the current view as ``.png`` or ``.pdf``."""
        session = self._sessions.current
        if session is None:
            return
        try:
            scene = scene_of(self._sessions.viewer, session)
        except SamMilError as error:
            show_error(error, doing=_DOING)
            return
        caption, width, dpi = self.caption.toPlainText().strip(), self.width_mm.value(), self.dpi.value()
        self.said.setText("Drawing…")
        self.jobs.start(
            lambda progress: save_figure(scene, path, caption=caption, width_mm=width, dpi=dpi, progress=progress),
            doing=_DOING,
            then=self.said.setText,
            otherwise=lambda: self.said.setText("Not saved"),
        )

    def _ask(self) -> None:
        session = self._sessions.current
        name = "figure.png" if session is None else f"{session.source.info.slide_id}.png"
        path, chosen = QFileDialog.getSaveFileName(self, "Save the figure", name, "PNG (*.png);;PDF (*.pdf)")
        if path:
            found = Path(path)
            self.save(found if found.suffix else found.with_suffix(".pdf" if "pdf" in chosen else ".png"))

    def _show_current(self) -> None:
        session = self._sessions.current
        proposed = "" if session is None else caption_of(session)
        if self.caption.toPlainText() == self._proposed:  # the user's own caption stays
            self.caption.setPlainText(proposed)
        self._proposed = proposed
        self.said.setText(_NOTHING if session is None else "")
        self._enable()

    def _enable(self) -> None:
        self.button.setEnabled(self._sessions.current is not None and not self.jobs.busy)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Wi&dth", self.width_mm)
        form.addRow("&Resolution", self.dpi)
        form.addRow("&Caption", self.caption)
        card = Card("Figure for print")
        card.body.addWidget(text_label(_WHAT))
        card.body.addLayout(form)
        card.body.addWidget(self.button)
        card.body.addWidget(self.said)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        column.addWidget(card)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(content))
