"""Small pieces that all docks are built of."""

from __future__ import annotations

import math
import re

import numpy as np
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import (
    QBoxLayout,
    QFrame,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from sam_mil_engine.drawing.colours import legend_table

#: Width below which a dock scrolls sideways rather than cut its text; a small screen needs the rest for the slide.
DOCK_WIDTH = 280


class Card(QFrame):
    """A titled block of a dock; add rows to ``body``."""

    def __init__(self, title: str, parent: QWidget | None = None):
        super().__init__(parent)
        self.setObjectName("samMilCard")
        self.setStyleSheet(
            "#samMilCard { border: 1px solid rgba(128, 128, 128, 90); border-radius: 6px; }"
            "#samMilCardTitle { font-weight: 600; }"
        )
        heading = QLabel(title)
        heading.setObjectName("samMilCardTitle")
        self.heading = heading
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(10, 8, 10, 10)
        self.body.setSpacing(6)
        self.body.addWidget(heading)


def text_label(text: str = "", *, faint: bool = False, rich: bool = False) -> QLabel:
    """Return a label that wraps and whose text can be selected with mouse and keyboard."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText if rich else Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    if faint:
        label.setStyleSheet("color: rgba(122, 127, 137, 255);")
    return label


def warning_label(name: str) -> QLabel:
    """Return a label for a warning, called ``name``: a colour of its own behind the words, for both themes."""
    label = text_label()
    label.setObjectName(name)
    label.setStyleSheet(
        "background-color: #e0a030; color: #1d1400; font-weight: bold; border-radius: 4px; padding: 5px"
    )
    return label


def folder_label() -> QElidingLabel:
    """Return a label for a path: where it is too long, its beginning is left out."""
    label = QElidingLabel()
    label.setElideMode(Qt.TextElideMode.ElideLeft)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    label.setMinimumWidth(60)
    return label


def plain_headings(card: str) -> str:
    """Return a model card (Markdown) whose headings are bold lines: a dock is no page."""
    return re.sub(r"^#+ (.*)$", r"**\1**", card, flags=re.MULTILINE)


def without_empty_rows(card: str) -> str:
    """Return a model card whose tables without headings have none: Markdown wants a first row, empty or not."""
    return re.sub(r"^\|(?: *\|)+\n(\|[-|: ]+\|)\n(\|.*\|)$", r"\2\n\1", card, flags=re.MULTILINE)


def scrolling(content: QWidget) -> QScrollArea:
    """Put a dock's content into a scroll area, so that small screens reach all of it."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
    content.setMinimumWidth(DOCK_WIDTH - 20)
    area.setWidget(content)
    area.setMinimumWidth(DOCK_WIDTH)
    return area


class ColourBar(QWidget):
    """A legend: a colour map from left to right, its limits, and optionally a mark.

    Parameters
    ----------
    colormap
        Name of the colour map, as in the report.
    low, high
        Words or numbers at its ends.
    mark
        Position between 0 and 1 that is marked, for example the threshold.
    """

    def __init__(self, colormap: str, low: str, high: str, *, mark: float | None = None):
        super().__init__()
        self._colours = np.ascontiguousarray(legend_table(colormap)[None])
        self._low, self._high, self._mark = low, high, mark
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(f"Colour legend from {low} to {high}")

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a bar and one line of text below it."""
        return QSize(200, 14 + self.fontMetrics().height())

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the colours, the mark and the words."""
        painter = QPainter(self)
        bar = QRectF(0, 0, self.width(), 10)
        picture = QImage(self._colours.data, 256, 1, 3 * 256, QImage.Format.Format_RGB888)
        painter.drawImage(bar, picture)
        if self._mark is not None:
            x = self._mark * self.width()
            painter.setPen(QPen(QColor("black"), 3))
            painter.drawLine(int(x), 0, int(x), 10)
            painter.setPen(QPen(QColor("white"), 1))
            painter.drawLine(int(x), 0, int(x), 10)
        painter.setPen(self.palette().windowText().color())
        words = QRectF(0, 11, self.width(), self.fontMetrics().height() + 2)
        painter.drawText(words, Qt.AlignmentFlag.AlignLeft, self._low)
        painter.drawText(words, Qt.AlignmentFlag.AlignRight, self._high)
        painter.end()


def clear(layout: QBoxLayout, *, keep: int = 0) -> None:
    """Delete all but the first ``keep`` items of a layout."""
    while layout.count() > keep:
        item = layout.takeAt(keep)
        widget = item.widget()
        if widget is not None:
            widget.hide()  # until Qt deletes it, it would lie over what comes in its place
            widget.deleteLater()


class Number(QTableWidgetItem):
    """A cell that sorts by its number; what does not exist sorts below everything."""

    def __init__(self, value: float):
        missing = math.isnan(value)
        super().__init__("" if missing else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}")
        self._value = -math.inf if missing else value
        self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        return self._value < other._value if isinstance(other, Number) else NotImplemented
