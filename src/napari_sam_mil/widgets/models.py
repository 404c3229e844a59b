"""List the models, and fetch, verify, add, import and remove them."""

from __future__ import annotations

import time
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QTextBrowser,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from sam_mil_engine.models.files import models_folder
from sam_mil_engine.progress import Progress

from ..analysis.models import (
    Model,
    add_file,
    all_models,
    check_access,
    describe_machine,
    fetch_work,
    import_run,
    remove,
    verify,
)
from ..background.dock_jobs import DockJobs
from ..background.eta import Eta
from ..background.jobs import Work
from ..text import sentence_case
from .dock import Dock
from .events import dock_events
from .parts import Card, plain_headings, scrolling, text_label, without_empty_headers

if TYPE_CHECKING:
    from napari.viewer import Viewer

_TITLES = {"segmenter": "Segmenters", "encoder": "Encoders", "classifier": "Classifiers"}
_MODEL = Qt.ItemDataRole.UserRole
_CHOOSE = "Select a model in the list to read about it."


class ModelsDock(Dock):
    """The list of models, details of the selected model, and actions on it."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__(napari_viewer)
        self._eta: Eta | None = None
        self._models: list[Model] = []
        self.jobs = DockJobs(self)
        self.machine = text_label("Checking this computer…")
        self.list = self._make_list()
        self.facts = text_label(_CHOOSE, rich=True)
        self.facts.setOpenExternalLinks(True)
        self.facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.card = QTextBrowser()
        self.card.setOpenExternalLinks(True)
        self.card.setMinimumHeight(140)
        self.card.setAccessibleName("Model card")
        self.card.setToolTip("What the model was trained on, how well it performs, and its limits")
        self._make_buttons()
        self.status, self.bar, self.cancel = text_label(), QProgressBar(), QPushButton("Ca&ncel")
        self.cancel.setToolTip("Stop; the next fetch continues from here")
        self.bar.setFixedHeight(8)
        self.bar.setTextVisible(False)
        self._lay_out()
        self.list.itemSelectionChanged.connect(self._on_selection)
        self.cancel.clicked.connect(self.jobs.cancel)
        self.jobs.progressed.connect(self._on_progress)
        self.jobs.changed.connect(self._enable)
        dock_events().models_changed.connect(self._reload)
        self._enable()
        self._reload()

    @property
    def chosen(self) -> Model | None:
        """The model that is selected in the list, or None."""
        items = self.list.selectedItems()
        return items[0].data(0, _MODEL) if items else None

    def choose(self, name: str) -> None:
        """Select a model by its name."""
        for item in self.list.findItems(name, Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive):
            self.list.setCurrentItem(item)

    def fetch(self) -> None:
        """Download the selected model."""
        if self.chosen is not None:
            self._run(fetch_work(self.chosen), "Fetching the model")

    def verify(self) -> None:
        """Verify the selected model."""
        model = self.chosen
        if model is not None:
            self._run(lambda progress: verify(model, progress=progress), "Verifying the model")

    def check(self) -> None:
        """Say whether the selected model can be used, and what to do next."""
        model = self.chosen
        if model is not None:
            self._run(lambda _progress: check_access(model), "Checking the access")

    def add_file(self, path: Path) -> None:
        """Add a weight file of the user."""
        self._run(lambda progress: add_file(path, progress=progress), "Adding the file")

    def import_run(self, folder: Path) -> None:
        """Import a run of the user."""
        self._run(lambda progress: import_run(folder, progress=progress), "Importing the run")

    def remove(self) -> None:
        """Delete the file of a model, or remove an imported run from the list."""
        model = self.chosen
        if model is not None:
            self._run(lambda _progress: remove(model), "Removing the model")

    def _run(self, work: Work, doing: str) -> None:
        self._eta = None
        self.status.setText(f"{doing}…")
        self.jobs.start(
            work, doing=doing, then=self._on_done, otherwise=lambda: self.status.setText("Not finished")
        )

    def _on_done(self, text: str) -> None:
        self.status.setText(text)
        dock_events().models_changed.emit()

    def _reload(self) -> None:
        if self.jobs.busy:
            return
        self.jobs.start(
            lambda _progress: (all_models(), describe_machine()), doing="Listing the models", then=self._show
        )

    def _show(self, found: tuple[list[Model], str]) -> None:
        self._models, text = found
        self.machine.setText(f"{text}. Weight files are stored in {models_folder()}")
        chosen = self.chosen
        with signals_blocked(self.list):
            self.list.clear()
            tops = {}
            for kind, title in _TITLES.items():
                tops[kind] = QTreeWidgetItem([title])
                tops[kind].setFlags(Qt.ItemFlag.ItemIsEnabled)
                self.list.addTopLevelItem(tops[kind])
            for model in self._models:
                item = QTreeWidgetItem([model.name, "yes" if model.on_disk else "no", model.size])
                item.setData(0, _MODEL, model)
                item.setToolTip(0, f"{model.name}: {model.what}; licence: {model.licence}")
                item.setTextAlignment(2, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                tops[model.kind].addChild(item)
                if chosen is not None and (model.kind, model.choice) == (chosen.kind, chosen.choice):
                    self.list.setCurrentItem(item)
            self.list.expandAll()
        self._on_selection()

    def _on_selection(self) -> None:
        model = self.chosen
        if model is None:
            self.facts.setText(_CHOOSE)
        else:
            source = f"<a href='{model.source}'>{model.source}</a>" if "://" in model.source else model.source
            what = sentence_case(model.what)
            lines = [
                f"<b>{escape(model.name)}</b>",
                escape(what),
                f"Source: {source}",
                f"Licence: {escape(model.licence)}",
            ]
            if model.citation:
                lines.append(f"Please cite: {escape(model.citation)}")
            self.facts.setText("<br>".join(lines))
        self.card.setVisible(model is not None and bool(model.card))
        if model is not None:
            self.card.setMarkdown(plain_headings(without_empty_headers(model.card)))
        self._enable()

    def _on_progress(self, progress: Progress) -> None:
        now = time.monotonic()
        self._eta = self._eta or Eta(progress, now=now)
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)
        text = self._eta.describe(progress, now=now)
        self.status.setText(f"{progress.message}: {text}" if progress.message and progress.total else text)

    def _enable(self) -> None:
        model, busy = self.chosen, self.jobs.busy
        self.fetch_button.setEnabled(not busy and model is not None and model.fetchable)
        self.check_button.setEnabled(not busy and model is not None and not model.imported)
        self.verify_button.setEnabled(not busy and model is not None and model.on_disk)
        removable = model is not None and (model.removable or model.imported)
        self.remove_button.setEnabled(not busy and removable)
        for button in (self.add_button, self.import_button):
            button.setEnabled(not busy)
        self.bar.setVisible(busy)
        self.cancel.setVisible(busy)
        if busy:
            self.bar.setRange(0, 0)

    def _make_list(self) -> QTreeWidget:
        tree = QTreeWidget()
        tree.setHeaderLabels(["Model", "Installed", "Size"])
        tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        tree.setRootIsDecorated(False)
        tree.setIndentation(10)
        tree.setMinimumHeight(280)
        tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        tree.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        tree.header().setStretchLastSection(False)
        tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        tree.setAccessibleName("Models")
        tree.setToolTip("Click a model to read about it; the buttons below apply to the selected model")
        return tree

    def _make_buttons(self) -> None:
        self.fetch_button, self.verify_button = QPushButton("Fe&tch"), QPushButton("Verif&y")
        self.check_button, self.remove_button = QPushButton("Chec&k access"), QPushButton("Re&move")
        self.add_button, self.import_button = QPushButton("&Add a file…"), QPushButton("&Import a run…")
        self.fetch_button.setToolTip("Download the weights and verify them; an interrupted download continues")
        self.check_button.setToolTip("Licence, access and what is missing; asks the page of the model where needed")
        self.verify_button.setToolTip("Read the whole model and check it against its checksum")
        self.remove_button.setToolTip(
            "Delete the file of a fetched or added model; an imported run is only removed from the list"
        )
        self.add_button.setToolTip(
            "Add a weight file from this computer: Meta's SAM, ResNet-50, or a SAM of the same architecture"
        )
        self.import_button.setToolTip("Add the folder of a trained run to the list of classifiers")
        self.fetch_button.clicked.connect(self.fetch)
        self.check_button.clicked.connect(self.check)
        self.verify_button.clicked.connect(self.verify)
        self.remove_button.clicked.connect(self.remove)
        self.add_button.clicked.connect(self._ask_file)
        self.import_button.clicked.connect(self._ask_run)

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Add a weight file", "", "Weights (*.pth *.pt);;All files (*)")
        if path:
            self.add_file(Path(path))

    def _ask_run(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose the folder of a trained run")
        if folder:
            self.import_run(Path(folder))

    def _lay_out(self) -> None:
        here, about = Card("This computer"), Card("About")
        here.body.addWidget(self.machine)
        one, two, foot = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        for button in (self.fetch_button, self.verify_button, self.remove_button):
            one.addWidget(button)
        for button in (self.add_button, self.import_button):
            two.addWidget(button)
        foot.addWidget(self.bar, 1)
        foot.addWidget(self.cancel)
        about.body.addWidget(self.facts)
        about.body.addWidget(self.card)
        about.body.addWidget(self.check_button)
        about.body.addLayout(one)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(8)
        column.addWidget(here)
        column.addWidget(QLabel("Models"))
        column.addWidget(self.list, 1)
        column.addWidget(about)
        column.addLayout(two)
        column.addWidget(self.status)
        column.addLayout(foot)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(content))
