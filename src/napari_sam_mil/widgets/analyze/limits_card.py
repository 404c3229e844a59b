"""Outlines to which the tissue is limited: regions of interest, and what must not count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QHBoxLayout, QPushButton

from sam_mil_engine.annotations.drawn_tissue import class_names
from sam_mil_engine.errors import AnnotationError, SamMilError, SettingsError
from sam_mil_engine.settings import ProcessSettings

from ...analysis.model import Choices
from ...analysis.project_settings import recorded_settings
from ...background.dock_jobs import DockJobs
from ..parts import Card, folder_label
from .class_field import ClassField

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
        self.only_inside = ClassField("Only inside", _INSIDE_TIP)
        self.not_inside = ClassField("Not inside", _OUTSIDE_TIP)
        self._jobs = DockJobs(self)
        self._jobs.changed.connect(self._look)
        self._looked_in: Path | None = None
        row = QHBoxLayout()
        row.addWidget(self._folder, 1)
        row.addWidget(self.browse)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)
        form.addRow("Outlines in", row)
        for field in (self.only_inside, self.not_inside):
            form.addRow(field.line.accessibleName(), field)
        self.body.addLayout(form)
        for field in (self.only_inside, self.not_inside):
            field.changed.connect(self.changed)
        self.set_outlines(None)

    def set_outlines(self, folder: Path | None) -> None:
        """Take outlines from this folder from now on."""
        self._outlines = folder
        self._folder.setText("No folder" if folder is None else str(folder))
        self._folder.setToolTip("No folder is chosen" if folder is None else str(folder))
        self._look()
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
        self.only_inside.set_classes(recorded.only_inside)
        self.not_inside.set_classes(recorded.not_inside)
        self.set_outlines(None if recorded.annotations is None else Path(recorded.annotations))

    def summary(self) -> str:
        """Summarise the limits: ``only inside Tumour, not inside Pen``; empty where there are none."""
        fields = {"only inside": self.only_inside, "not inside": self.not_inside}
        said = {words: field.classes() for words, field in fields.items()}
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
        inside, outside = self.only_inside.classes(), self.not_inside.classes()
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

    def _look(self) -> None:
        """Offer the classes of the folder, as soon as they were read."""
        folder = self._outlines
        if self._jobs.busy or folder == self._looked_in:
            return
        self._looked_in = folder
        self._offer(())
        if folder is not None:
            self._jobs.start(lambda _progress: _names_in(folder), doing="Reading the outlines", then=self._offer)

    def _offer(self, names: Sequence[str]) -> None:
        for field in (self.only_inside, self.not_inside):
            field.offer(names if self._outlines == self._looked_in else ())


def _names_in(folder: Path) -> tuple[str, ...]:
    try:
        return class_names(folder)
    except AnnotationError:  # the step that needs the outlines says so
        return ()
