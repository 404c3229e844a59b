"""Preferences that stay from one start to the next, and all keys on one page."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.settings import get_settings
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from sam_mil_engine.errors import SamMilError

from ..keys import all_keys
from ..napari_compat.reader_choice import is_slide_reader, set_slide_reader
from ..notices import show_error
from ..opening import levels_of
from ..preferences import CACHE_RANGE_MIB, Preferences, preferences, save_preferences
from .dock import Dock
from .parts import Card, clear, folder_label, scrolling, text_label

if TYPE_CHECKING:
    from napari.viewer import Viewer

_CHANGE_KEYS = (
    "The keys of the window and of the image can be changed in napari: File › Preferences › Shortcuts. "
    "Those of SAM-MIL stand under Viewer key bindings."
)


class PreferencesDock(Dock):
    """Project folder, cache, asynchronous loading; the keys."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__(napari_viewer)
        try:
            self._values = preferences()
        except SamMilError as error:
            show_error(error, doing="Reading the preferences")
            self._values = Preferences()
        self._napari, self._plugins = get_settings().experimental, get_settings().plugins
        self.folder, self.path = QPushButton("F&older…"), folder_label()
        self.cache, self.slicing = QSpinBox(), QCheckBox("Load in the &background")
        self.srgb = QCheckBox("Colou&rs by the ICC profile")
        self.readers = QCheckBox("Open slides without as&king")
        self.reset = QPushButton("Back to the &defaults")
        self._said = text_label(faint=True)
        self._said.hide()
        self._lay_out()
        self._show()
        self.folder.clicked.connect(self._browse)
        self.cache.valueChanged.connect(lambda mib: self._save(replace(self._values, cache_mib=mib)))
        self.slicing.toggled.connect(self._on_slicing)
        self.srgb.toggled.connect(self._on_srgb)
        self.reset.clicked.connect(lambda: self._save(Preferences()))
        self.readers.toggled.connect(self._on_readers)
        self._napari.events.async_.connect(self._on_napari)
        self._plugins.events.extension2reader.connect(self._on_napari)
        self.keys_changed.connect(self._show_keys)

    def _show(self) -> None:
        name = Path(self._values.project)
        self.path.setText(str(name))
        self.path.setToolTip(f"{name}\nWhere results are kept; holds from the next Analyze dock on")
        self.cache.blockSignals(True)
        self.cache.setValue(self._values.cache_mib)
        self.cache.blockSignals(False)
        self._on_napari()
        if self.srgb.isChecked() != self._values.srgb:
            self.srgb.setChecked(self._values.srgb)

    def _save(self, values: Preferences) -> None:
        try:
            save_preferences(values)
        except SamMilError as error:
            show_error(error, doing="Saving the preferences")
            return
        self._values = values
        self._show()
        self._say("Saved")

    def _say(self, text: str) -> None:
        self._said.setText(text)
        self._said.show()

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder in which results are kept")
        if folder:
            self._save(replace(self._values, project=folder))

    def _on_slicing(self, on: bool) -> None:
        self._napari.async_ = on
        self._say("napari's own setting; also under Preferences > Experimental")

    def _on_readers(self, on: bool) -> None:
        set_slide_reader(on=on)
        self._say("napari's own setting; also under Preferences > Plugins")

    def _on_srgb(self, on: bool) -> None:
        if on != self._values.srgb:
            self._save(replace(self._values, srgb=on))
        for session in self._sessions.all():
            if session.source.info.icc_profile is not None:
                session.layer.data = levels_of(session.source.slide, self._values)

    def _on_napari(self, _event: Any = None) -> None:
        for box, on in ((self.slicing, bool(self._napari.async_)), (self.readers, is_slide_reader())):
            box.blockSignals(True)
            box.setChecked(on)
            box.blockSignals(False)

    def _show_keys(self) -> None:
        clear(self.keys.body, keep=1)
        for where, rows in all_keys().items():
            lines = "".join(
                f"<tr><td><b>{escape(key)}</b>&nbsp;&nbsp;</td><td>{what}</td></tr>" for key, what in rows.items()
            )
            self.keys.body.addWidget(text_label(f"{where}<table>{lines}</table>", rich=True))
        self.keys.body.addWidget(text_label(_CHANGE_KEYS, faint=True))

    def leave(self) -> None:
        """Let go of napari's settings, which outlive the dock."""
        super().leave()
        self._napari.events.async_.disconnect(self._on_napari)
        self._plugins.events.extension2reader.disconnect(self._on_napari)

    def _lay_out(self) -> None:
        self.cache.setRange(*CACHE_RANGE_MIB)
        self.cache.setSingleStep(64)
        self.cache.setSuffix(" MiB")
        self.cache.setKeyboardTracking(False)
        self.cache.setToolTip("Decoded tiles that one open slide keeps in memory; holds for slides opened later")
        self.slicing.setToolTip(
            "napari's asynchronous slicing: moving never waits for tiles, the image sharpens as they arrive"
        )
        self.srgb.setToolTip(
            "Shows slides that carry an ICC profile in the colours that the scanner's maker means, as sRGB;\n"
            "others, and everything that is computed, stay as they are"
        )
        self.readers.setToolTip(
            "SVS, NDPI, MRXS, SCN, BIF, VMS and the like open in SAM-MIL without napari asking for a reader;\n"
            "for TIFF, DICOM and images it asks, unless you let it remember your choice"
        )
        self.reset.setToolTip("Project folder and cache as they were at first; napari's own settings stay")
        form = QFormLayout()
        self.folder.setToolTip("Choose another folder for results; holds from the next Analyze dock on")
        row = QHBoxLayout()
        row.addWidget(self.path, 1)
        row.addWidget(self.folder)
        form.addRow("Results in", row)
        form.addRow("&Cache for tiles", self.cache)
        general = Card("Preferences")
        general.body.addLayout(form)
        for widget in (self.readers, self.slicing, self.srgb, self.reset, self._said):
            general.body.addWidget(widget)
        self.keys = Card("Keys")
        self._show_keys()
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        for card in (general, self.keys):
            column.addWidget(card)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(content))
