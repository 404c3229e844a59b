"""One row per stage: progress, rate and remaining time."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton

from sam_mil_engine.progress import Progress

from ...background.eta import Eta, duration
from ..parts import Card, text_label

#: The engine's name of a stage -> its title.
STAGE_NAMES: dict[str, str] = {
    "tissue": "Tissue",
    "tiles": "Patches",
    "segments": "Segments",
    "features": "Features",
    "groups": "Groups",
    "classify": "Classify",
}
_STEPS = 1000
_BAR_STYLE = (
    "QProgressBar { border: none; border-radius: 4px; background-color: rgba(128, 128, 128, 70); }"
    "QProgressBar::chunk { border-radius: 4px; background-color: #2b82c9; }"
)


class ProgressCard(Card):
    """Rows of stages and a Cancel button; hidden until a job has run."""

    cancel_clicked = Signal()

    def __init__(self) -> None:
        super().__init__("Progress")
        self._rows: dict[str, tuple[QLabel, QProgressBar, QLabel]] = {}
        self._etas: dict[str, Eta] = {}
        self._grid = QGridLayout()
        self._grid.setColumnStretch(1, 1)
        self._grid.setVerticalSpacing(3)
        self.body.addLayout(self._grid)
        self.detail, self.reason = text_label(faint=True), text_label()
        self.reason.hide()
        self.body.insertWidget(1, self.reason)
        self.body.addWidget(self.detail)
        for row, (stage, name) in enumerate(STAGE_NAMES.items()):
            label, bar, status = QLabel(name), QProgressBar(), QLabel()
            bar.setRange(0, _STEPS)
            bar.setTextVisible(False)
            bar.setFixedHeight(8)
            bar.setStyleSheet(_BAR_STYLE)
            bar.setToolTip(f"Progress of the stage “{name}”")
            for column, widget in enumerate((label, bar, status)):
                self._grid.addWidget(widget, row, column)
            self._rows[stage] = (label, bar, status)
        self.heading.setWordWrap(True)
        self.cancel = QPushButton("Ca&ncel")
        self.cancel.setToolTip("Stop at the next opportunity; finished stages are saved and reused")
        self.cancel.clicked.connect(self.cancel_clicked)
        self.body.addWidget(self.cancel)
        self.hide()

    def begin(self, stages: Sequence[str]) -> None:
        """Show the rows of these stages as waiting."""
        self._etas.clear()
        for stage, widgets in self._rows.items():
            for widget in widgets:
                widget.setVisible(stage in stages)
            widgets[1].setRange(0, _STEPS)
            widgets[1].setValue(0)
            widgets[2].setText("Waiting")
        self.heading.setText("Progress")
        self.reason.hide()
        self.detail.setText("Starting…")
        self.detail.show()
        self.cancel.setText("Ca&ncel")
        self.cancel.setEnabled(True)
        self.cancel.show()
        self.show()

    def report(self, progress: Progress) -> None:
        """Show a progress report of the engine."""
        if progress.stage not in self._rows:
            if progress.message in STAGE_NAMES:
                self._rows[progress.message][2].setText("Starting…")
            return
        now = time.monotonic()
        eta = self._etas.setdefault(progress.stage, Eta(progress, now=now))
        _, bar, status = self._rows[progress.stage]
        if progress.total:
            share = progress.done / progress.total
            bar.setRange(0, _STEPS)
            bar.setValue(round(_STEPS * share))
            status.setText("Done" if share == 1 else f"{100 * share:.0f} %")
        else:
            bar.setRange(0, 0)
            status.setText("Working…")
        self.detail.setText(f"{STAGE_NAMES[progress.stage]}: {eta.describe(progress, now=now)}")
        status.setToolTip(progress.message)

    def cancelling(self) -> None:
        """Show that the job was asked to stop."""
        self.cancel.setText("Stopping…")
        self.cancel.setEnabled(False)

    def finish(self, *, seconds: Mapping[str, float], reused: Collection[str]) -> None:
        """Show the duration of every stage, and mark all rows as done."""
        self.heading.setText(f"Done in {duration(sum(seconds.values()))}")
        for stage, (_, bar, status) in self._rows.items():
            bar.setRange(0, _STEPS)
            bar.setValue(_STEPS)
            took = duration(seconds[stage]) if stage in seconds else "Done"
            status.setText("Reused" if stage in reused else took)
        self._hide_details()

    def show_stored(self, stages: Collection[str], note: str) -> None:
        """Show that the results were read from the project, with a note for the user."""
        self.begin(tuple(stages))
        self.finish(seconds={}, reused=stages)
        self.heading.setText(f"Loaded from the project. {note}".strip())

    def stop(self, text: str, reason: str = "") -> None:
        """Show that the job ended early: ``Cancelled`` or ``Failed``, and why. The bars keep their positions."""
        self.heading.setText(text)
        for _, bar, status in self._rows.values():
            bar.setRange(0, _STEPS)
            if bar.value() < _STEPS:
                status.setText("Not finished" if bar.value() else "Not run")
        self._hide_details()
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason))

    def _hide_details(self) -> None:
        self.cancel.hide()
        self.detail.hide()
