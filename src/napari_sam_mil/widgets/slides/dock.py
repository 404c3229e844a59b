"""List the slides of a project, a run or predictions, with a worklist. A double click opens a slide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout

from sam_mil_engine.errors import SamMilError

from ...analysis.collection import Collection, Entry, find_slide, open_collection
from ...analysis.worklist import NOT_SEEN, SEEN, Item, View, Worklist
from ...folders import places_of, slide_layers
from ...notices import describe, show_error, tell
from ...session.slide import SlideSession
from ..dock import Dock
from ..parts import text_label
from .beside import BesideButton, Other
from .table import SlideTable, is_wrong
from .view_keeper import ViewKeeper
from .worklist_card import WorklistCard

if TYPE_CHECKING:
    from napari.viewer import Viewer

_EMPTY = "Choose the folder of a project, a run or predictions. Its slides are then listed here."


class SlidesDock(Dock):
    """The table of a collection, and the worklist."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__(napari_viewer)
        self._collection: Collection | None = None
        self._worklist: Worklist | None = None
        self._can_save_views = True
        self._hidden_slides: list[tuple[SlideSession, list[Layer]]] = []
        self.folder, self.open = QPushButton("&Choose folder…"), QPushButton("&Open slide")
        self.folder.setToolTip("Open the folder of a project, of a trained run or of predictions")
        self.open.setToolTip("Open the selected slide with its results, and close the slides without unsaved work")
        self.beside = BesideButton(self, self._sessions, self._other)
        self.filter, self.wrong = QLineEdit(), QCheckBox("Only w&rong predictions")
        self.filter.setPlaceholderText("Filter by words in a row")
        self.filter.setToolTip("Show only the rows that contain all of these words")
        self.filter.setAccessibleName("Filter of the slides")
        self.filter.setClearButtonEnabled(True)
        self.wrong.setToolTip("Show only the slides whose prediction differs from their label")
        self.table, self.worklist = SlideTable(), WorklistCard()
        self.title = text_label(_EMPTY)
        self._views = ViewKeeper(self, self._sessions, self._keep_view)
        self._lay_out()
        self.folder.clicked.connect(self._ask)
        self.open.clicked.connect(self.open_chosen)
        self._sessions.changed.connect(self._show_current)
        self.table.itemActivated.connect(self.open_chosen)
        self.table.itemSelectionChanged.connect(self._enable)
        self.filter.textChanged.connect(self._filter)
        self.wrong.toggled.connect(self._filter)
        self.worklist.step_clicked.connect(self.step)
        self.worklist.status_chosen.connect(lambda status: self._note(status=status))
        self.worklist.note_written.connect(lambda note: self._note(note=note.strip()))
        self.keys_changed.connect(self.worklist.show_keys)
        self._enable()

    def show_folder(self, folder: Path) -> None:
        """List the slides of a folder."""
        try:
            self._collection = open_collection(folder)
        except SamMilError as error:
            show_error(error, doing="Opening the folder")
            return
        self._worklist, self._can_save_views = None, True
        try:
            self._worklist = Worklist(self._collection.project or self._collection.folder)
        except SamMilError as error:
            show_error(error, doing="Reading the worklist")
        self._fill(self._collection)

    def step(self, step: int) -> None:
        """Open the next slide of the list (1), or the previous one (-1)."""
        if self.worklist.note.isEnabled():  # by the key, the field keeps the focus
            self._note(note=self.worklist.note.text().strip())
        entry = self.table.neighbour(step)
        if entry is None:
            tell(f"This is the {'last' if step > 0 else 'first'} slide of the list.")
            return
        self.table.choose(entry)
        self.open_chosen()

    def open_chosen(self) -> None:
        """Open the slide of the selected row where it was left, or show it if it is already open."""
        entry = self.table.chosen()
        if entry is None or self._collection is None:
            return
        self._views.save_now()
        layers, open_ones = self._sessions.viewer.layers, self._sessions.all()
        path = find_slide(entry, places_of(self._collection))
        there = None if path is None else next((one for one in open_ones if one.source.is_file(path)), None)
        if there is None:
            try:
                added = [Layer.create(*data) for data in slide_layers(self._collection, entry)]
            except SamMilError as error:
                show_error(error, doing="Opening the slide")
                return
        for session in open_ones:
            if session is not there:
                self._close_or_hide(session)
        if there is None:
            layers.extend(added)
            layers.selection.active = added[0]
        else:
            self._show_hidden(there)
        item = self._item(entry)
        if self._sessions.current is not None:
            self._views.restore(self._sessions.current, item.view)
        self._mark_seen(entry)

    def _other(self) -> Other | None:
        """Return what is shown beside the open slide: the selected slide, else another open one."""
        current, chosen = self._sessions.current, self.table.chosen()
        if current is None:
            return None
        if self._collection is not None and chosen is not None and chosen is not self._entry_of(current):
            return self._collection, chosen
        return next((one for one in self._sessions.all() if one is not current), None)

    def _show_current(self) -> None:
        self._enable()

    def leave(self) -> None:
        """Stop watching the camera."""
        super().leave()
        self._views.leave()

    def _close_or_hide(self, session: SlideSession) -> None:
        """Close a slide, or hide it if it has outlines or unsaved edits."""
        layers = self._sessions.viewer.layers
        own = [session.layer, *session.layers.values()]
        if session.analysis is not session.on_disk or session.outline_layers():
            self._hidden_slides.append((session, [layer for layer in own if layer.visible]))
            for layer in own:
                layer.visible = False
        else:
            with layers.batched_update():  # napari collects garbage once, not once for each layer
                for layer in own:
                    layers.remove(layer)

    def _show_hidden(self, session: SlideSession) -> None:
        """Show a hidden slide again, with the same visible layers."""
        shown = [layer for hidden, layers in self._hidden_slides if hidden is session for layer in layers]
        self._hidden_slides = [pair for pair in self._hidden_slides if pair[0] is not session]
        for layer in [session.layer, *shown]:
            layer.visible = True
        self._sessions.viewer.layers.selection.active = session.layer

    def _item(self, entry: Entry) -> Item:
        return Item() if self._worklist is None else self._worklist.of(entry.slide_id)

    def _mark_seen(self, entry: Entry) -> None:
        if self._item(entry).status == NOT_SEEN:
            self._change(entry, status=SEEN, by_hand=False)

    def _note(self, **changes: Any) -> None:
        """Save what the user entered for the selected slide."""
        entry = self.table.chosen()
        if entry is not None:
            self._change(entry, by_hand=True, **changes)

    def _keep_view(self, session: SlideSession, view: View) -> None:
        entry = self._entry_of(session)
        if entry is not None:
            self._change(entry, view=view, by_hand=False)

    def _change(self, entry: Entry, *, by_hand: bool, **changes: Any) -> None:
        """Save changes of the worklist. A failure of what is saved automatically is told once."""
        if self._worklist is None or not (by_hand or self._can_save_views):
            return
        try:
            self._worklist.change(entry.slide_id, **changes)
        except SamMilError as error:
            if by_hand:
                show_error(error, doing="Saving the worklist")
            else:
                self._can_save_views = False
                tell(f"Which slides you saw, and where you left them, is not saved. {describe(error)}")
        self.table.show_item(entry, self._item(entry))
        self._show_item()

    def _entry_of(self, session: SlideSession) -> Entry | None:
        """Return the slide of the list that is shown in a session."""
        if self._collection is None:
            return None
        source, places = session.source, places_of(self._collection)
        name = source.info.slide_id if source.stored is None else source.stored.slide_id
        # a slide table may name a slide otherwise than its file, and a file more than once
        for entry in sorted(self._collection.entries, key=lambda one: one.slide_id != name):
            if entry.slide_id == name or (entry.path is not None and entry.path.name == source.info.path.name):
                path = find_slide(entry, places)
                if path is not None and source.is_file(path):
                    return entry
        return None

    def _fill(self, collection: Collection) -> None:
        self.table.fill(collection, {entry.slide_id: self._item(entry) for entry in collection.entries})
        self.title.setText(_title(collection))
        self.title.setToolTip(str(collection.folder))
        self.wrong.setVisible(any(is_wrong(entry) for entry in collection.entries))
        self.wrong.setChecked(False)
        self._filter()
        open_ones = [entry for one in self._sessions.all() if (entry := self._entry_of(one)) is not None]
        if open_ones:
            self.table.choose(open_ones[-1])
            self._mark_seen(open_ones[-1])

    def _filter(self) -> None:
        self.table.filter(self.filter.text().lower().split(), only_wrong=self.wrong.isChecked())
        self._enable()

    def _enable(self) -> None:
        listed = self._collection is not None
        self.open.setEnabled(self.table.chosen() is not None)
        self.beside.enable()
        for widget in (self.filter, self.table, self.worklist):
            widget.setVisible(listed)
        for button in (self.worklist.previous, self.worklist.next):
            button.setEnabled(listed)
        if not listed:
            self.wrong.hide()
        self._show_item()

    def _show_item(self) -> None:
        entry, entries = self.table.chosen(), () if self._collection is None else self._collection.entries
        self.worklist.show_item(None if entry is None or self._worklist is None else self._item(entry))
        self.worklist.show_counts([self._item(one).status for one in entries])

    def _ask(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a project, a run or predictions")
        if folder:
            self.show_folder(Path(folder))

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.addWidget(self.folder)
        column.addWidget(self.title)
        column.addWidget(self.filter)
        column.addWidget(self.wrong)
        column.addWidget(self.table, 1000)
        row = QHBoxLayout()
        row.addWidget(self.open)
        row.addWidget(self.beside)
        column.addLayout(row)
        column.addWidget(self.worklist)
        column.addStretch(1)


def _title(collection: Collection) -> str:
    count = len(collection.entries)
    parts = [f"{collection.title}: {count} slide{'' if count == 1 else 's'}"]
    failed = sum(entry.state == "failed" for entry in collection.entries)
    judged = [entry for entry in collection.entries if entry.label and entry.predicted]
    if failed:
        parts.append(f"{failed} failed")
    if judged:
        right = sum(not is_wrong(entry) for entry in judged)
        parts.append(f"{right} of {len(judged)} predictions are correct")
    if collection.project is None:
        parts.append("its project was not found, so slides open without results")
    return "; ".join(parts) + "."
