"""A line, or two, that say what is chosen, and open what is behind them on a click."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QPushButton, QSizePolicy, QVBoxLayout, QWidget

_CLOSED, _OPEN = "▸", "▾"
#: Lines that the text takes where they hold its last two parts.
_LINES = 2
_INDENT = "    "


class Fold(QWidget):
    """A button of a line or two above a content that is folded away at first.

    Attributes
    ----------
    line
        The button: it takes the keyboard, and says its whole text to screen readers and in its tooltip.
    body
        Layout of the content.
    """

    def __init__(self, tip: str) -> None:
        super().__init__()
        self._tip, self._text = tip, ""
        self.line = QPushButton()
        self.line.setObjectName("samMilFold")
        self.line.setCheckable(True)
        self.line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.line.setStyleSheet("#samMilFold { text-align: left; padding: 5px 6px; }")
        self._content = QWidget()
        self._content.hide()
        self.body = QVBoxLayout(self._content)
        self.body.setContentsMargins(0, 4, 0, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.line)
        column.addWidget(self._content)
        self.line.toggled.connect(self._toggle)

    @property
    def is_open(self) -> bool:
        """Whether the content is shown."""
        return bool(self.line.isChecked())

    def set_text(self, text: str) -> None:
        """Say what is chosen; what does not fit the width is in the tooltip."""
        self._text = text
        self.line.setToolTip(f"{self._tip}. Now: {text}")
        self.line.setAccessibleName(text)
        self._draw()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Cut the line to the new width."""
        super().resizeEvent(event)
        self._draw()

    def _toggle(self, on: bool) -> None:
        self._content.setVisible(on)
        self._draw()

    def _draw(self) -> None:
        room, metrics = max(self.width() - 60, 40), self.line.fontMetrics()
        lines = _lines(self._text.split(" · "), room, metrics.horizontalAdvance)
        modes = [Qt.TextElideMode.ElideRight, *[Qt.TextElideMode.ElideMiddle] * (len(lines) - 1)]
        shown = [metrics.elidedText(line, mode, room) for line, mode in zip(lines, modes, strict=True)]
        text = f" ·\n{_INDENT}".join(shown).replace("&", "&&")
        self.line.setText(f"{_OPEN if self.is_open else _CLOSED} {text}")


def _lines(parts: Sequence[str], room: int, width_of: Callable[[str], int]) -> list[str]:
    """Break a text between its parts, where possible into two lines.

    The last two parts are never cut for the others: where they do not fit, the parts before them share one line,
    and each of the two has a line of its own if need be.
    """
    lines: list[str] = []
    for part in parts:
        if lines and width_of(f"{lines[-1]} · {part} ·") <= room:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    if len(lines) <= _LINES:
        return lines
    before, last = parts[:-2], " · ".join(parts[-2:])
    return [" · ".join(before), *([last] if width_of(last) <= room else parts[-2:])]
