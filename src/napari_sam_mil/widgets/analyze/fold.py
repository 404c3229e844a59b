"""A button that summarises the choices in one or two lines, and unfolds them on a click."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QPushButton, QSizePolicy, QVBoxLayout, QWidget

_CLOSED, _OPEN = "▸", "▾"
#: Preferred number of lines, if they hold the last two parts of the text.
_LINES = 2
_INDENT = "    "


class Fold(QWidget):
    """A button with one or two lines of text above content that is hidden at first.

    Attributes
    ----------
    line
        The button. It accepts keyboard focus; its tooltip and accessible name contain the full text.
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
        """Set the summary. The tooltip contains the full text."""
        self._text = text
        self.line.setToolTip(f"{self._tip}. Current choice: {text}")
        self.line.setAccessibleName(text)
        self._draw()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Fit the text to the new width."""
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
    """Break a text between its parts, into two lines if possible.

    The last two parts are never shortened in favour of the others: if they do not fit, the earlier parts share one
    line, and each of the two gets its own line if necessary.
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
