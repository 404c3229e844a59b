"""Small widgets and helpers that the docks share."""

from __future__ import annotations

import math
import re

import numpy as np
from qtpy.QtCore import QEvent, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen, QResizeEvent, QShowEvent
from qtpy.QtWidgets import (
    QBoxLayout,
    QComboBox,
    QFrame,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from sam_mil_engine.drawing.colours import legend_table

#: Minimum width of a dock. A narrower dock scrolls sideways instead of cutting its text.
DOCK_WIDTH = 280


#: Opacity (0 to 255) of faint text: a contrast of 6 to 1 in both themes, where WCAG requires 4.5.
FAINT = 217


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
    """Return a label that wraps, and whose text can be selected."""
    label = _FaintLabel(text) if faint else QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText if rich else Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    return label


class _FaintLabel(QLabel):
    """A label in a fainter shade of the theme's text colour."""

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Update the colour after a change of the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.ParentChange):
            self._take_colour()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Set the colour for the current theme."""
        super().showEvent(event)
        self._take_colour()

    def _take_colour(self) -> None:
        parent = self.parentWidget()
        if parent is None:
            return
        colour = parent.palette().windowText().color()
        wanted = f"color: rgba({colour.red()}, {colour.green()}, {colour.blue()}, {FAINT});"
        if self.styleSheet() != wanted:  # setting it changes the style again
            self.setStyleSheet(wanted)


def warning_label(name: str) -> QLabel:
    """Return a label for a warning with the object name ``name``, with a background that suits both themes."""
    label = text_label()
    label.setObjectName(name)
    label.setStyleSheet(
        "background-color: #e0a030; color: #1d1400; font-weight: bold; border-radius: 4px; padding: 5px"
    )
    return label


class ShortCombo(QComboBox):
    """A combo box for a narrow dock: text that does not fit is elided, and the tooltip shows all of it."""

    def __init__(self) -> None:
        super().__init__()
        self._tip = ""
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(4)
        self.currentTextChanged.connect(lambda _text: self._tell())

    def setToolTip(self, tip: str) -> None:  # noqa: N802 - Qt's name
        """Set the tooltip, to which elided text is added."""
        self._tip = tip
        self._tell()

    def shown_text(self) -> str:
        """Return the text as it is drawn."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        part = QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, part, self).width()
        return str(self.fontMetrics().elidedText(self.currentText(), Qt.TextElideMode.ElideRight, room - 4))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Update the tooltip for the new width."""
        super().resizeEvent(event)
        self._tell()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the box with the text that fits."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self.shown_text()
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def _tell(self) -> None:
        cut = self.shown_text() != self.currentText()
        super().setToolTip(f"{self.currentText()}\n{self._tip}".strip() if cut else self._tip)


def folder_label() -> QElidingLabel:
    """Return a label for a path, which is elided at its beginning if it is too long."""
    label = QElidingLabel()
    label.setElideMode(Qt.TextElideMode.ElideLeft)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    label.setMinimumWidth(30)
    return label


def plain_headings(card: str) -> str:
    """Return a model card (Markdown) with bold lines instead of headings, which are too large for a dock."""
    return re.sub(r"^#+ (.*)$", r"**\1**", card, flags=re.MULTILINE)


def without_empty_headers(card: str) -> str:
    """Return a model card without the empty header rows that Markdown requires in tables."""
    return re.sub(r"^\|(?: *\|)+\n(\|[-|: ]+\|)\n(\|.*\|)$", r"\2\n\1", card, flags=re.MULTILINE)


def scrolling(content: QWidget) -> QScrollArea:
    """Put the content of a dock into a scroll area, so that all of it is reachable on small screens."""
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
        Text at its ends.
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
        """Draw the colours, the mark and the text."""
        painter = QPainter(self)
        bar = QRectF(0, 0, self.width(), 10)
        image = QImage(self._colours.data, 256, 1, 3 * 256, QImage.Format.Format_RGB888)
        painter.drawImage(bar, image)
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
            widget.hide()  # otherwise it covers its replacement until Qt deletes it
            widget.deleteLater()


def number_text(value: float) -> str:
    """Format a number for a table: four digits, large numbers without decimals, NaN as an empty text."""
    if math.isnan(value):
        return ""
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


class Number(QTableWidgetItem):
    """A cell that sorts by its number. NaN sorts below all numbers."""

    def __init__(self, value: float):
        super().__init__(number_text(value))
        self._value = -math.inf if math.isnan(value) else value
        self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        return self._value < other._value if isinstance(other, Number) else NotImplemented
