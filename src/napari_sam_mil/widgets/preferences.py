"""Preferences that stay from one start to the next, and all keys on one page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QFileDialog, QFormLayout, QPushButton, QSpinBox, QVBoxLayout, QWidget

from sam_mil_engine.errors import SamMilError

from ..notices import show_error
from ..preferences import CACHE_RANGE_MIB, Preferences, preferences, save_preferences
from .parts import Card, scrolling, text_label

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: Where a key works -> key -> what it does.
KEYS: dict[str, dict[str, str]] = {
    "Everywhere in the window": {
        "Ctrl+Return": "Segment/Classify",
        "Alt+letter": "Press the button that underlines it",
    },
    "In the picture, with a prompt tool": {
        "C": "Next candidate",
        "Enter": "Accept the mask as a segment",
        "Ctrl+Z": "Take the last prompt back",
        "Ctrl+Shift+Z": "Give it again",
        "Esc": "Clear all prompts",
    },
    "In the list of segments": {"F2": "Rename", "Ctrl+click, Shift+click": "Choose several"},
    "In the picture (napari)": {"Ctrl+0": "Show the whole slide", "Ctrl+G": "Grid on and off"},
}


class PreferencesDock(QWidget):
    """Project folder, cache, asynchronous loading; the keys."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__()
        try:
            self._values = preferences()
        except SamMilError as error:
            show_error(error, doing="Reading the preferences")
            self._values = Preferences()
        self._napari = get_settings().experimental
        self.folder, self.cache, self.slicing = (
            QPushButton(),
            QSpinBox(),
            QCheckBox("Load the picture in the background"),
        )
        self.reset = QPushButton("Back to the &defaults")
        self._said = text_label(faint=True)
        self._lay_out()
        self._show()
        self.folder.clicked.connect(self._browse)
        self.cache.valueChanged.connect(lambda mib: self._save(replace(self._values, cache_mib=mib)))
        self.slicing.toggled.connect(self._on_slicing)
        self.reset.clicked.connect(lambda: self._save(Preferences()))
        self._napari.events.async_.connect(self._on_napari)

    def _show(self) -> None:
        name = Path(self._values.project)
        self.folder.setText(self.folder.fontMetrics().elidedText(str(name), Qt.TextElideMode.ElideLeft, 200))
        self.folder.setToolTip(f"{name}\nClick to choose another folder; holds from the next Analyze dock on")
        self.cache.blockSignals(True)
        self.cache.setValue(self._values.cache_mib)
        self.cache.blockSignals(False)
        self._on_napari()

    def _save(self, values: Preferences) -> None:
        try:
            save_preferences(values)
        except SamMilError as error:
            show_error(error, doing="Saving the preferences")
            return
        self._values = values
        self._show()
        self._said.setText("Saved")

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder in which results are kept")
        if folder:
            self._save(replace(self._values, project=folder))

    def _on_slicing(self, on: bool) -> None:
        self._napari.async_ = on
        self._said.setText("napari's own setting; also under Preferences > Experimental")

    def _on_napari(self, _event: Any = None) -> None:
        self.slicing.blockSignals(True)
        self.slicing.setChecked(bool(self._napari.async_))
        self.slicing.blockSignals(False)

    def closeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Let go of napari's settings, which outlive the dock."""
        self._napari.events.async_.disconnect(self._on_napari)
        super().closeEvent(event)

    def _lay_out(self) -> None:
        self.cache.setRange(*CACHE_RANGE_MIB)
        self.cache.setSingleStep(64)
        self.cache.setSuffix(" MiB")
        self.cache.setKeyboardTracking(False)
        self.cache.setToolTip("Decoded tiles that one open slide keeps in memory; holds for slides opened later")
        self.slicing.setToolTip(
            "napari's asynchronous slicing: moving never waits for tiles, the picture sharpens as they arrive"
        )
        self.reset.setToolTip("Project folder and cache as they were at first; napari's own settings stay")
        form = QFormLayout()
        form.addRow("&Results in", self.folder)
        form.addRow("&Cache for tiles", self.cache)
        general = Card("Preferences")
        general.body.addLayout(form)
        for widget in (self.slicing, self.reset, self._said):
            general.body.addWidget(widget)
        keys = Card("Keys")
        for where, rows in KEYS.items():
            lines = "".join(
                f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{what}</td></tr>" for key, what in rows.items()
            )
            keys.body.addWidget(text_label(f"{where}<table>{lines}</table>", rich=True))
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        for card in (general, keys):
            column.addWidget(card)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(content))
