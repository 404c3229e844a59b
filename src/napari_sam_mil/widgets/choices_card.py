"""Which models, and where results are kept."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QPushButton, QWidget

from sam_mil_engine.features.registry import available_encoders
from sam_mil_engine.segment.registry import automatic_segmenter, available_segmenters
from sam_mil_engine.settings import FeatureSettings

from ..analysis import BUNDLED, Choices
from ..library import library
from .news import news
from .parts import Card, folder_label


class ChoicesCard(Card):
    """Tissue preset, segmenter, encoder, classifier and project folder, each with a default that works."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Models")
        self._project = Choices().project
        self.preset, self.segmenter, self.encoder, self.classifier = (QComboBox() for _ in range(4))
        self._folder = folder_label()
        self._fill()
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Tiss&ue", self.preset)
        form.addRow("Seg&menter", self.segmenter)
        form.addRow("&Encoder", self.encoder)
        form.addRow("Classifier", _with_button(self.classifier, "Br&owse…", self.browse_run, _RUN_TIP))
        form.addRow("Results in", _with_button(self._folder, "Fol&der…", self.browse_project, _PROJECT_TIP))
        self.body.addLayout(form)
        for box in (self.preset, self.segmenter, self.encoder, self.classifier):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(8)
            box.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self.set_project(self._project)
        news().models_changed.connect(self._refill)

    def choices(self) -> Choices:
        """Return what is chosen now."""
        return Choices(
            preset=self.preset.currentData(),
            segmenter=self.segmenter.currentData(),
            encoder=self.encoder.currentData(),
            classifier=self.classifier.currentData(),
            project=self._project,
        )

    def in_words(self) -> str:
        """Say what is chosen in one line: ``regions · efficientnet-lite0 · best fit``."""
        parts = [] if self.preset.currentData() is None else [self.preset.currentText()]
        automatic = self.segmenter.currentData() == "auto"
        parts.append(automatic_segmenter() if automatic else self.segmenter.currentText())
        bundled = self.encoder.currentData() is None and self.classifier.currentData() in _CLASSIFIERS
        parts.append(FeatureSettings().encoder if bundled else self.encoder.currentText().lower())
        parts.append(self.classifier.currentText().lower())
        return " · ".join(parts)

    def set_project(self, folder: Path) -> None:
        """Keep results in ``folder`` from now on."""
        self._project = folder
        self._folder.setText(str(folder))
        self._folder.setToolTip(
            f"{folder}\nThe same files that sam-mil-engine process writes; reused when they fit."
        )
        self.changed.emit()

    def set_classifier(self, folder: Path) -> None:
        """Offer the RUN in ``folder`` and choose it."""
        place = self.classifier.findData(str(folder))
        if place < 0:
            place = self.classifier.count()
            self.classifier.addItem(folder.name, str(folder))
            self.classifier.setItemData(place, str(folder), Qt.ItemDataRole.ToolTipRole)
        self.classifier.setCurrentIndex(place)

    def browse_run(self) -> None:
        """Let the user pick the folder of a RUN."""
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder of a trained run")
        if folder:
            self.set_classifier(Path(folder))

    def browse_project(self) -> None:
        """Let the user pick the project folder."""
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder in which results are kept")
        if folder:
            self.set_project(Path(folder))

    def _refill(self) -> None:
        """Offer what was fetched, added or forgotten in the meantime; what is chosen stays chosen."""
        boxes = (self.preset, self.segmenter, self.encoder, self.classifier)
        chosen = [box.currentData() for box in boxes]
        for box in boxes:
            box.blockSignals(True)
            box.clear()
        self._fill()
        for box, data in zip(boxes, chosen, strict=True):
            if box is self.classifier and data is not None and box.findData(data) < 0:
                self.set_classifier(Path(data))
            box.setCurrentIndex(max(0, box.findData(data) if data is not None else 0))
            box.blockSignals(False)

    def _fill(self) -> None:
        self.preset.addItem("As the project has it", None)
        for name, what in _PRESETS.items():
            _add(self.preset, name.capitalize() if name != "tcga" else "TCGA", name, what, on_disk=True)
        self.preset.setToolTip("How tissue is told from glass; try another preset where it misses some")
        self.segmenter.addItem("Automatic", "auto")
        self.segmenter.setItemData(0, "The largest SAM on this computer, else regions", Qt.ItemDataRole.ToolTipRole)
        for item in available_segmenters():
            _add(self.segmenter, item.name, item.name, item.what, on_disk=item.on_disk)
        self.encoder.addItem("As the classifier expects", None)
        for one in available_encoders():
            if one.name.endswith(":NAME"):  # a family of encoders, not one that can be picked from a list
                continue
            _add(self.encoder, one.name, one.name, one.what, on_disk=one.on_disk)
        for name, (text, what) in _CLASSIFIERS.items():
            _add(self.classifier, text, name, f"{what}; bundled, not for diagnosis", on_disk=True)
        for run in library().added("classifier"):
            _add(self.classifier, run.name, str(run), f"Imported by you: {run}", on_disk=True)
        self.segmenter.setToolTip("What divides the tissue into segments")
        self.encoder.setToolTip("What turns every patch into a feature vector")
        self.classifier.setAccessibleName("Classifier")
        self.classifier.setToolTip("What classifies the slide; tile size and resolution follow it")


#: Every preset of the engine (a test compares), with what it is for.
_PRESETS = {
    "default": "CLAM's default: pieces of more than 100 squares of 512 px",
    "biopsy": "Small pieces on much glass",
    "resection": "Large pieces; paler stain is left out",
    "tcga": "Slides of The Cancer Genome Atlas: smaller pieces and holes count",
}
#: Every bundled classifier (a test compares): what it is called here, and what it knows.
_CLASSIFIERS = {
    BUNDLED: ("Best fit", "Of the bundled models the one whose training slides are most like this slide"),
    "colon": ("Colon", "Adenocarcinoma of the colon against normal mucosa"),
    "lymph-node": ("Lymph node", "Metastases in lymph nodes against normal nodes"),
    "demo": ("Generated slides", "Slides that this program made itself"),
}
_RUN_TIP = "Choose a folder that sam-mil-engine train or cross-validate wrote"
_PROJECT_TIP = "Choose another project folder"


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
