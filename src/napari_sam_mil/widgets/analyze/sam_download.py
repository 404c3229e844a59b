"""A SAM that the box of segmenters offers, and its download."""

from __future__ import annotations

import time
from typing import Literal

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from sam_mil_engine.models.card import ModelCard
from sam_mil_engine.progress import Progress

from ...analysis.models import fetch_card
from ...background.dock_jobs import DockJobs
from ...background.eta import Eta
from ..events import dock_events
from ..parts import ShortCombo, text_label

Outcome = Literal["done", "failed", "cancelled"]


def offer_text(card: ModelCard) -> str:
    """Return what the list says of a model that can be downloaded: ``SAM ViT-B (375 MB, download)``."""
    return f"{card.title} ({card.size / 1e6:,.0f} MB, download)"


class OfferCombo(ShortCombo):
    """A combo box in which one entry starts a download: it can be chosen in the open list only.

    The wheel and the arrow keys pass over it, so that nobody downloads by accident.
    """

    def __init__(self) -> None:
        super().__init__()
        self._offered = ""

    def offer(self, data: str) -> None:
        """Make the entry with these data the offered one; none for an empty text."""
        self._offered = data
        self._enable(on=False)

    def showPopup(self) -> None:  # noqa: N802 - Qt's name
        """Open the list."""
        self._enable(on=True)
        super().showPopup()

    def hidePopup(self) -> None:  # noqa: N802 - Qt's name
        """Close the list."""
        super().hidePopup()
        self._enable(on=False)

    def _enable(self, *, on: bool) -> None:
        place = self.findData(self._offered) if self._offered else -1
        if place >= 0:
            self.model().item(place).setEnabled(on)


class SamDownload(QWidget):
    """The line below the choices while a SAM is downloaded: progress and a Cancel button; else hidden.

    Signals
    -------
    ended(outcome)
        ``done``, ``failed`` or ``cancelled``.
    """

    ended = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._jobs = DockJobs(self)
        self._title, self._next, self._cancelled = "", "", False
        self._eta: Eta | None = None
        self.status, self.bar, self.cancel_button = text_label(), QProgressBar(), QPushButton("Stop download")
        self.bar.setFixedHeight(8)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the download")
        self.cancel_button.setToolTip("Stop the download; the next one continues from here")
        self.cancel_button.clicked.connect(self.cancel)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button)
        row.setAlignment(self.bar, Qt.AlignmentFlag.AlignVCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.status)
        column.addLayout(row)
        self._jobs.progressed.connect(self._on_progress)
        self.hide()

    @property
    def busy(self) -> bool:
        """Whether a download is running."""
        return self._jobs.busy

    def start(self, card: ModelCard) -> None:
        """Download the file of a model, unless a download is running."""
        if self.busy:
            return
        self._title, self._next, self._cancelled, self._eta = card.title, "", False, None
        self.status.setText(f"Downloading {card.title}…")
        self.bar.setRange(0, 0)
        for widget in (self.bar, self.cancel_button, self):
            widget.show()
        self._jobs.start(
            lambda progress: fetch_card(card, progress=progress),
            doing=f"Downloading {card.title}",
            then=lambda _path: self._end("done", ""),
            otherwise=self._on_nothing,
        )

    def cancel(self) -> None:
        """Stop the download."""
        if self.busy:
            self._cancelled = True
            self.status.setText("Stopping…")
            self._jobs.cancel()

    def say_next(self, what: str) -> None:
        """Say what starts when the download has ended: ``Segment/Classify``."""
        self._next = f" {what} starts afterwards."

    def _on_progress(self, progress: Progress) -> None:
        if self._cancelled:
            return
        now = time.monotonic()
        self._eta = self._eta or Eta(progress, now=now)
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)
        self.status.setText(f"{self._title}: {self._eta.describe(progress, now=now)}.{self._next}")

    def _on_nothing(self) -> None:
        if self._cancelled:
            self._end("cancelled", "")
        else:
            self._end("failed", f"{self._title} could not be downloaded. The models on this computer are used.")

    def _end(self, outcome: Outcome, text: str) -> None:
        self.status.setText(text)
        self.bar.hide()
        self.cancel_button.hide()
        self.setVisible(bool(text))
        if outcome == "done":
            dock_events().models_changed.emit()
        self.ended.emit(outcome)
