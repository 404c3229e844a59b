"""Outlines to which the tissue is limited: regions of interest, and what must not count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QPushButton

from sam_mil_engine.errors import SamMilError, SettingsError
from sam_mil_engine.settings import ProcessSettings

from ...analysis.model import Choices
from ...analysis.project_settings import recorded_settings
from ..parts import Card, folder_label

_FOLDER_TIP = (
    "Choose the folder with one file of outlines for each slide, named as the slide: GeoJSON as QuPath saves it, or"
    " files of ASAP, ImageScope, HALO or CAMELYON"
)
_INSIDE_TIP = "Only tissue inside outlines of this class counts. Separate several classes by commas"
_OUTSIDE_TIP = "Tissue inside outlines of this class does not count. Separate several classes by commas"


class LimitsCard(Card):
    """The folder of outlines, and the classes inside and outside of which tissue counts.

    ``changed`` is emitted when any of them changes.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Limits of the tissue")
        self._project: Path | None = None
        self._outlines: Path | None = None
        self._folder = folder_label()
        self.browse = QPushButton("Outlines…")
        self.browse.setToolTip(_FOLDER_TIP)
        self.browse.clicked.connect(self._on_browse)
        self.only_inside, self.not_inside = QLineEdit(), QLineEdit()
        self.only_inside.setToolTip(_INSIDE_TIP)
        self.not_inside.setToolTip(_OUTSIDE_TIP)
        row = QHBoxLayout()
        row.addWidget(self._folder, 1)
        row.addWidget(self.browse)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Outlines in", row)
        form.addRow("Only inside", self.only_inside)
        form.addRow("Not inside", self.not_inside)
        self.body.addLayout(form)
        for field in (self.only_inside, self.not_inside):
            field.textChanged.connect(lambda _text: self.changed.emit())
        self.set_outlines(None)

    def set_outlines(self, folder: Path | None) -> None:
        """Take outlines from this folder from now on."""
        self._outlines = folder
        self._folder.setText("No folder" if folder is None else str(folder))
        self._folder.setToolTip("No folder is chosen" if folder is None else str(folder))
        self.changed.emit()

    def show_project(self, project: Path) -> None:
        """Show the limits that a project has, when it is another project than before."""
        if project == self._project:
            return
        self._project = project
        try:
            recorded = recorded_settings(project)
        except SamMilError:  # whatever is done with this project says so
            recorded = ProcessSettings()
        self.only_inside.setText(", ".join(recorded.only_inside))
        self.not_inside.setText(", ".join(recorded.not_inside))
        self.set_outlines(None if recorded.annotations is None else Path(recorded.annotations))

    def summary(self) -> str:
        """Summarise the limits: ``only inside Tumour, not inside Pen``; empty where there are none."""
        fields = {"only inside": self.only_inside, "not inside": self.not_inside}
        said = {words: _classes(field) for words, field in fields.items()}
        return ", ".join(f"{words} {' or '.join(classes)}" for words, classes in said.items() if classes)

    def applied_to(self, choices: Choices) -> Choices:
        """Return choices with the limits among their changes of settings, unless their project has the same.

        Raises
        ------
        SettingsError
            If a class is named, but no folder of outlines.
        ProjectError
            If the settings of the project cannot be read.
        """
        inside, outside = _classes(self.only_inside), _classes(self.not_inside)
        limited = bool(inside or outside)
        if limited and self._outlines is None:
            raise SettingsError(
                "a class of outlines is named, but not where the outlines are",
                hint="Press Outlines… under Limits of the tissue, and choose their folder",
            )
        folder = str(self._outlines) if limited else None
        wanted = {"annotations": folder, "only_inside": inside, "not_inside": outside}
        recorded = recorded_settings(choices.project)
        if all(getattr(recorded, name) == value for name, value in wanted.items()):
            return choices
        return replace(choices, changes={**choices.changes, **wanted})

    def _on_browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder of outlines")
        if folder:
            self.set_outlines(Path(folder))


def _classes(field: QLineEdit) -> tuple[str, ...]:
    return tuple(name for part in field.text().split(",") if (name := part.strip()))
