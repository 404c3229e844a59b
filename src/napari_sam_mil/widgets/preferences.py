"""The preferences, and a list of all keys."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.settings import get_settings
from qtpy.compat import isalive
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
from superqt.utils import signals_blocked

from sam_mil_engine.errors import SamMilError
from sam_mil_engine.settings import ProcessSettings

from ..keys import all_keys
from ..napari_compat.reader_choice import is_slide_reader, set_slide_reader
from ..notices import show_error
from ..opening import levels_of
from ..preferences import CACHE_RANGE_MIB, Preferences, preferences, save_preferences
from .dock import Dock
from .parts import Card, clear, folder_label, scrolling, text_label
from .settings_form import SettingsForm

if TYPE_CHECKING:
    from napari.viewer import Viewer

_CHANGE_KEYS = (
    "The keys of the window and of the image can be changed in napari under File › Preferences › Shortcuts. "
    "Those of SAM-MIL are listed under Viewer key bindings."
)


class PreferencesDock(Dock):
    """Project folder, cache, asynchronous loading, and the keys."""

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
        self.srgb = QCheckBox("Apply the ICC p&rofile")
        self.readers = QCheckBox("Open slides without as&king")
        self.analyses = QPushButton("&Settings for analyses…")
        self.reset = QPushButton("Restore &defaults")
        self._said = text_label(faint=True)
        self._said.hide()
        self._lay_out()
        self._show()
        self.folder.clicked.connect(self._browse)
        self.cache.valueChanged.connect(lambda mib: self._save(replace(self._values, cache_mib=mib)))
        self.slicing.toggled.connect(self._on_slicing)
        self.srgb.toggled.connect(self._on_srgb)
        self.analyses.clicked.connect(self._browse_settings)
        self.reset.clicked.connect(lambda: self._save(Preferences()))
        self.readers.toggled.connect(self._on_readers)
        self._napari.events.async_.connect(self._on_napari)
        self._plugins.events.extension2reader.connect(self._on_napari)
        self.keys_changed.connect(self._show_keys)

    def _show(self) -> None:
        name = Path(self._values.project)
        self.path.setText(str(name))
        self.path.setToolTip(f"{name}\nFolder for results; applies to Analyze docks that are opened later")
        with signals_blocked(self.cache):
            self.cache.setValue(self._values.cache_mib)
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
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder for results")
        if folder:
            self._save(replace(self._values, project=folder))

    def _browse_settings(self) -> None:
        form = SettingsForm(ProcessSettings(), self._values.changes, self)
        if form.exec() == SettingsForm.DialogCode.Accepted:
            self._save(replace(self._values, changes=form.changes))

    def _on_slicing(self, on: bool) -> None:
        self._napari.async_ = on
        self._say("This is napari's own setting, also under Preferences › Experimental")

    def _on_readers(self, on: bool) -> None:
        set_slide_reader(on=on)
        self._say("This is napari's own setting, also under Preferences › Plugins")

    def _on_srgb(self, on: bool) -> None:
        if on != self._values.srgb:
            self._save(replace(self._values, srgb=on))
        for session in self._sessions.all():
            if session.source.info.icc_profile is not None:
                session.layer.data = levels_of(session.source.slide, self._values)

    def _on_napari(self, _event: Any = None) -> None:
        if not isalive(self):  # with PySide6, a dock outlives its deletion until Python collects garbage
            return
        for box, on in ((self.slicing, bool(self._napari.async_)), (self.readers, is_slide_reader())):
            with signals_blocked(box):
                box.setChecked(on)

    def _show_keys(self) -> None:
        clear(self.keys.body, keep=1)
        for where, rows in all_keys().items():
            lines = "".join(
                f"<tr><td><b>{escape(key)}</b>&nbsp;&nbsp;</td><td>{what}</td></tr>" for key, what in rows.items()
            )
            self.keys.body.addWidget(text_label(f"{where}<table>{lines}</table>", rich=True))
        self.keys.body.addWidget(text_label(_CHANGE_KEYS, faint=True))

    def leave(self) -> None:
        """Disconnect from napari's settings, which outlive the dock."""
        super().leave()
        self._napari.events.async_.disconnect(self._on_napari)
        self._plugins.events.extension2reader.disconnect(self._on_napari)

    def _lay_out(self) -> None:
        self.cache.setRange(*CACHE_RANGE_MIB)
        self.cache.setSingleStep(64)
        self.cache.setSuffix(" MiB")
        self.cache.setKeyboardTracking(False)
        self.cache.setToolTip(
            "Memory for decoded tiles of each open slide; applies to slides that are opened later"
        )
        self.slicing.setToolTip(
            "napari's asynchronous slicing: panning and zooming never wait for tiles, and the image sharpens as"
            " they arrive"
        )
        self.srgb.setToolTip(
            "Converts slides with an ICC profile to sRGB, the colours that the scanner manufacturer intended.\n"
            "Other slides and all computations do not change"
        )
        self.readers.setToolTip(
            "SVS, NDPI, MRXS, SCN, BIF, VMS and similar files open in SAM-MIL without a question from napari.\n"
            "For TIFF, DICOM and images, napari asks for a reader unless you let it remember your choice"
        )
        self.analyses.setToolTip(
            "Settings with which an Analyze dock starts: patches, SAM thresholds, tissue, membership, batch sizes"
        )
        self.reset.setToolTip("Restore the default folder, cache, colours and settings; napari's settings stay")
        form = QFormLayout()
        self.folder.setToolTip("Choose another folder for results; applies to Analyze docks that are opened later")
        row = QHBoxLayout()
        row.addWidget(self.path, 1)
        row.addWidget(self.folder)
        form.addRow("Results in", row)
        form.addRow("Tile &cache", self.cache)
        general = Card("Preferences")
        general.body.addLayout(form)
        for widget in (self.readers, self.slicing, self.srgb, self.analyses, self.reset, self._said):
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
