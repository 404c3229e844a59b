"""Load, draw and save outlines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...layers.annotations import DRAWN_CLASS
from ...notices import show_details
from ..parts import Card, ShortCombo, text_label

_KINDS = "Outlines (*.geojson *.json *.xml *.annotations *.ndpa *.geojson.gz *.json.gz *.zip);;All files (*)"
_NONE = (
    "Load a file (QuPath GeoJSON, ASAP or ImageScope XML, HALO, NDPA), drop it into the window, or draw around an"
    " area."
)
_DETAILS = "Skipped or repaired"
_NO_SLIDE = "Open a slide first, for example by dragging it into the window."


class OutlinesCard(Card):
    """Buttons to load, draw and save, and a summary of the outlines.

    ``load_clicked`` and ``save_clicked`` carry a Path; ``edit_clicked`` carries a class, or None for those in view.
    """

    load_clicked = Signal(object)
    save_clicked = Signal(object)
    draw_clicked = Signal()
    class_edited = Signal(str)
    edit_clicked = Signal(object)

    def __init__(self) -> None:
        super().__init__("Outlines")
        self.load, self.draw, self.save = QPushButton("Lo&ad…"), QPushButton("&Draw"), QPushButton("&Save…")
        self.load.setToolTip("Read QuPath GeoJSON, ASAP or ImageScope XML, HALO or CAMELYON annotations")
        self.draw.setToolTip("Drag around an area with the mouse; the tools above the layer list edit the shapes")
        self.save.setToolTip("Save the outlines as GeoJSON, for QuPath")
        self.load.clicked.connect(self._ask_load)
        self.draw.clicked.connect(self.draw_clicked)
        self.save.clicked.connect(self._ask_save)
        row = QHBoxLayout()
        for button in (self.load, self.draw, self.save):
            row.addWidget(button)
        self._class = QLineEdit(DRAWN_CLASS)
        self._class.setToolTip("Class of the outlines that you draw next")
        self._class.editingFinished.connect(lambda: self.class_edited.emit(self.drawn_class))
        form = QFormLayout()
        form.addRow("D&raw as", self._class)
        self._facts, self._said = text_label(_NO_SLIDE), text_label(faint=True)
        self._notes: list[str] = []
        self.details = QPushButton("Show &names…")
        self.details.setToolTip("List the outlines that were skipped or repaired, with the reasons")
        self.details.clicked.connect(lambda: show_details("\n".join(self._notes), title=_DETAILS))
        self._said.hide()
        self.details.hide()
        self.many = self._build_many()
        self.body.addLayout(row)
        self.body.addLayout(form)
        self.body.addWidget(self._facts)
        self.body.addWidget(self.many)
        self.body.addWidget(self._said)
        self.body.addWidget(self.details)
        self._any, self._ready, self._busy = False, False, False

    @property
    def drawn_class(self) -> str:
        """Class of the outlines that are drawn next."""
        return self._class.text().strip() or DRAWN_CLASS

    def show_classes(self, names: Sequence[str], *, ready: bool) -> None:
        """Summarise the outlines; ``ready`` if a slide is open."""
        self._any, self._ready = bool(names), ready
        counted = ", ".join(f"{count:,} × {name}" for name, count in Counter(names).items())
        self._facts.setText(counted if names else _NONE if ready else _NO_SLIDE)
        if not names:
            self.say("")
        self._enable()

    def show_many(self, names: Sequence[str]) -> None:
        """Offer to edit some of the outlines that are shown as an image; ``names`` are their classes."""
        self.many.setVisible(bool(names))
        if not names:
            return
        self._many_facts.setText(
            f"{len(names):,} outlines are shown as an image, which is fast but not editable. Choose outlines "
            "to edit:"
        )
        kept = self.which.currentData()
        self.which.clear()
        self.which.addItem("in view", None)
        for name, count in Counter(names).items():
            self.which.addItem(f"{name} ({count:,})", name)
        self.which.setCurrentIndex(max(0, self.which.findData(kept)) if kept is not None else 0)

    def say(self, text: str, notes: Sequence[str] = ()) -> None:
        """Show a message; ``notes`` are shown on a click."""
        self._notes = list(notes)
        self._said.setText(text)
        self._said.setVisible(bool(text))
        self.details.setVisible(bool(notes))

    def set_busy(self, busy: bool) -> None:
        """Disable the buttons while a job is running."""
        self._busy = busy
        self._enable()

    def _build_many(self) -> QWidget:
        many = QWidget()
        self._many_facts, self.which, self.edit = text_label(), ShortCombo(), QPushButton("Edit these &outlines")
        self.which.setAccessibleName("Outlines to edit")
        self.which.setToolTip("The outlines in view, or those of a class")
        self.edit.setToolTip("Convert these outlines to shapes, which the tools above the layer list can edit")
        self.edit.clicked.connect(lambda: self.edit_clicked.emit(self.which.currentData()))
        row = QHBoxLayout()
        row.addWidget(self.which, 1)
        row.addWidget(self.edit)
        column = QVBoxLayout(many)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._many_facts)
        column.addLayout(row)
        many.hide()
        return many

    def _enable(self) -> None:
        self.edit.setEnabled(not self._busy)
        self.load.setEnabled(self._ready and not self._busy)
        self.draw.setEnabled(self._ready)
        self.save.setEnabled(self._any and not self._busy)

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load outlines", "", _KINDS)
        if path:
            self.load_clicked.emit(Path(path))

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the outlines", "outlines.geojson", "GeoJSON (*.geojson)")
        if path:
            self.save_clicked.emit(Path(path))
