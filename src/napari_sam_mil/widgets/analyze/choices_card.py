"""The choice of models and of the folder for results."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QPushButton, QWidget
from superqt.utils import signals_blocked

from sam_mil_engine.errors import SamMilError
from sam_mil_engine.models.card import PACKAGED
from sam_mil_engine.models.registry import available
from sam_mil_engine.settings import EMBEDDED_SEGMENTER, FeatureSettings, TissueSettings

from ...analysis.library import library
from ...analysis.model import AUTO, Choices, StoredResults
from ...analysis.models import offered_sam
from ...analysis.project_settings import recorded_settings
from ...notices import show_error
from ...preferences import preferences
from ..events import dock_events
from ..parts import Card, ShortCombo, folder_label, text_label
from ..settings_form import SettingsForm, form_settings
from .fine_segments import fine_segments_box
from .sam_download import OfferCombo, SamDownload, offer_text


class ChoicesCard(Card):
    """Tissue preset, segmenter, encoder, classifier and project folder, each with a working default."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Models")
        self._project = Choices().project
        self._changes: dict[str, Any] = {}
        self.preset, self.encoder, self.classifier = (ShortCombo() for _ in range(3))
        self.segmenter, self.download = OfferCombo(), SamDownload()
        self._segmenter_before: str = Choices().segmenter
        self.fine = fine_segments_box()
        self._folder = folder_label()
        self._fill()
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow("Tiss&ue", self.preset)
        form.addRow("Seg&menter", self.segmenter)
        form.addRow(self.download)
        form.addRow("Fine segments", self.fine)
        form.addRow("&Encoder", self.encoder)
        form.addRow("Classifier", _with_button(self.classifier, "&Browse…", self.browse_run, _RUN_TIP))
        form.addRow("Results in", _with_button(self._folder, "Fol&der…", self.browse_project, _PROJECT_TIP))
        self.more = QPushButton("All se&ttings…")
        self.more.setToolTip("All other settings: patches, SAM thresholds, tissue, membership, batch sizes")
        self.more.clicked.connect(self.browse_settings)
        self._said = text_label(faint=True)
        self._said.hide()
        form.addRow(self.more)
        form.addRow(self._said)
        self.body.addLayout(form)
        for box in (self.preset, self.segmenter, self.fine, self.encoder, self.classifier):
            box.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.segmenter.activated.connect(self._on_segmenter)
        self.download.ended.connect(self._on_download)
        self.set_project(self._project)
        dock_events().models_changed.connect(self._refill)

    def choices(self) -> Choices:
        """Return the current choices."""
        return Choices(
            preset=self.preset.currentData(),
            segmenter=self.segmenter.currentData(),
            encoder=self.encoder.currentData(),
            classifier=self.classifier.currentData(),
            project=self._project,
            changes={**self._changes, **self._scale()},
        )

    def _scale(self) -> dict[str, Any]:
        """Return the changes of the settings for fine segments; none while the box has no entry."""
        return self.fine.currentData() or {}

    def summary(self) -> str:
        """Summarise the choices in one line: ``vit_b · efficientnet-lite0 · best fit``."""
        parts = [] if self.preset.currentData() is None else [self.preset.currentText()]
        automatic = self.segmenter.currentData() == "auto"
        parts.append("automatic segments" if automatic else self.segmenter.currentText())
        if self._scale().get("segments.mpp") is not None:
            parts.append("fine segments")
        bundled = self.encoder.currentData() is None and self.classifier.currentData() in self._bundled
        parts.append(FeatureSettings().encoder if bundled else self.encoder.currentText().lower())
        if self._changes:
            parts.append(f"{len(self._changes)} setting{'' if len(self._changes) == 1 else 's'} changed")
        parts.append(self.classifier.currentText().lower())
        return " · ".join(parts)

    def use(self, stored: StoredResults) -> None:
        """Use the project and the classifier that a slide was opened with."""
        if self._project != stored.project:
            self.set_project(stored.project)
        if stored.classifier != AUTO and self.choices().classifier != stored.classifier:
            self.set_classifier(Path(stored.classifier))

    def set_project(self, folder: Path) -> None:
        """Store results in ``folder`` from now on."""
        self._project = folder
        self._folder.setText(str(folder))
        self._folder.setToolTip(f"{folder}\nStored results are reused if they match the settings.")
        self.changed.emit()

    def set_classifier(self, folder: Path) -> None:
        """Add the run in ``folder`` to the list and select it."""
        place = self.classifier.findData(str(folder))
        if place < 0:
            place = self.classifier.count()
            self.classifier.addItem(folder.name, str(folder))
            self.classifier.setItemData(place, str(folder), Qt.ItemDataRole.ToolTipRole)
        self.classifier.setCurrentIndex(place)

    def set_changes(self, changes: dict[str, Any]) -> None:
        """Use these further settings from now on: dotted name -> value."""
        self._changes = dict(changes)
        titles = {one.name: one.title for one in form_settings()}
        said = ", ".join(f"{titles[name]} {_value_text(value)}" for name, value in changes.items())
        self._said.setText(said)
        self._said.setVisible(bool(said))
        self.changed.emit()

    def browse_settings(self) -> None:
        """Let the user change every other setting."""
        try:
            form = SettingsForm(recorded_settings(self._project), self._changes, self)
        except SamMilError as error:
            show_error(error, doing="Showing the settings")
            return
        if form.exec() == SettingsForm.DialogCode.Accepted:
            self.set_changes(form.changes)

    def use_preferences(self) -> None:
        """Use the project and the settings of the preferences."""
        try:
            values = preferences()
            self.set_project(Path(values.project))
            self.set_changes(values.changes)
        except SamMilError as error:
            show_error(error, doing="Reading the preferences")

    def browse_run(self) -> None:
        """Let the user choose the folder of a run."""
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder of a trained run")
        if folder:
            self.set_classifier(Path(folder))

    def browse_project(self) -> None:
        """Let the user choose the project folder."""
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder for results")
        if folder:
            self.set_project(Path(folder))

    def _on_segmenter(self, place: int) -> None:
        """Remember the choice, or download the SAM that was offered and chosen."""
        if self._offered is None or self.segmenter.itemData(place) != self._offered.name:
            self._segmenter_before = self.segmenter.itemData(place)
        elif not self.download.busy:
            self.download.start(self._offered)

    def _on_download(self, outcome: str) -> None:
        """Go back to the earlier choice if there is no file."""
        if outcome != "done":
            self.segmenter.setCurrentIndex(max(0, self.segmenter.findData(self._segmenter_before)))

    def _refill(self) -> None:
        """Update the lists after models were fetched, added or removed. The choices do not change."""
        boxes = (self.preset, self.segmenter, self.encoder, self.classifier)
        chosen = [box.currentData() for box in boxes]
        with ExitStack() as blocked:
            for box in boxes:
                blocked.enter_context(signals_blocked(box))
                box.clear()
            self._fill()
            for box, data in zip(boxes, chosen, strict=True):
                if box is self.classifier and data is not None and box.findData(data) < 0:
                    self.set_classifier(Path(data))
                box.setCurrentIndex(max(0, box.findData(data) if data is not None else 0))

    def _fill(self) -> None:
        self.preset.addItem("As in the project", None)
        for name, what in _PRESETS.items():
            _add(self.preset, name.capitalize() if name != "tcga" else "TCGA", name, what, on_disk=True)
        self.preset.setToolTip(
            "How tissue is distinguished from glass; try another preset if it misses some tissue"
        )
        self.segmenter.addItem("Automatic", "auto")
        self.segmenter.setItemData(
            0,
            "The segments that the classifier was trained with; if it uses none, the largest SAM on this computer,"
            f" or {EMBEDDED_SEGMENTER}",
            Qt.ItemDataRole.ToolTipRole,
        )
        self._offered = offered_sam()
        for card in available("segmenter"):
            offered = card == self._offered
            text = offer_text(card) if offered else card.name
            _add(self.segmenter, text, card.name, card.what, on_disk=card.on_disk or offered)
        self.segmenter.offer("" if self._offered is None else self._offered.name)
        self.encoder.addItem("As the classifier expects", None)
        for card in available("encoder"):
            if not card.is_family:  # a family of encoders cannot be selected in a list
                _add(self.encoder, card.name, card.name, card.what, on_disk=card.on_disk)
        _add(self.classifier, "Best fit", AUTO, _BEST_FIT, on_disk=True)
        classifiers = available("classifier")
        for card in classifiers:
            _add(self.classifier, card.title or card.name, card.name, f"{card.what} ({card.source})", on_disk=True)
        self._bundled = {AUTO, *(card.name for card in classifiers if card.source == PACKAGED)}
        for run in library().added("classifier"):
            _add(self.classifier, run.name, str(run), f"Imported by you: {run}", on_disk=True)
        self.segmenter.setToolTip("What divides the tissue into segments")
        self.encoder.setToolTip("What converts every patch to a feature vector")
        self.classifier.setAccessibleName("Classifier")
        self.classifier.setToolTip("What classifies the slide; it determines patch size and resolution")


#: Every preset of the engine, with its purpose. A test compares the names.
_PRESETS = {
    "default": f"CLAM's default: pieces of more than {TissueSettings().min_tissue_area:g} squares of 512 px",
    "biopsy": "Small pieces of tissue on a large area of glass",
    "resection": "Large pieces of tissue; pale stain is excluded",
    "tcga": "Slides of The Cancer Genome Atlas: smaller pieces and holes are included",
}
_BEST_FIT = "The bundled model whose training slides are most similar to this slide; not for diagnosis"
_RUN_TIP = "Choose the folder of a trained run"
_PROJECT_TIP = "Choose another project folder"


def _value_text(value: object) -> str:
    """Format the value of a setting."""
    if value is None:
        return "automatic"
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _add(box: QComboBox, text: str, data: str, what: str, *, on_disk: bool) -> None:
    place = box.count()
    box.addItem(text if on_disk else f"{text} (not on this computer)", data)
    box.setItemData(place, what, Qt.ItemDataRole.ToolTipRole)
    if not on_disk:
        box.model().item(place).setEnabled(False)


def _with_button(widget: QWidget, text: str, slot: object, tip: str) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(widget, 1)
    button = QPushButton(text)
    button.setToolTip(tip)
    button.clicked.connect(slot)
    layout.addWidget(button)
    return row
