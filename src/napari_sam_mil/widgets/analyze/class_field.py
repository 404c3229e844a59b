"""A field for classes of outlines, typed or chosen from a menu."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QMenu, QPushButton, QWidget

_CLASSES_TIP = "Choose among the classes of the outlines in the folder"
_NO_CLASSES_TIP = "The folder has no outlines with a class"


class ClassField(QWidget):
    """Classes, typed or chosen from a menu of those that are there.

    ``changed`` is emitted when any of them changes.
    """

    changed = Signal()

    def __init__(self, name: str, tip: str) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setAccessibleName(name)
        self.line.setToolTip(tip)
        self.line.textChanged.connect(lambda _text: self.changed.emit())
        self.choose = QPushButton("Classes")
        self.choose.setAccessibleName(f"Classes: {name.lower()}")
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._tick)
        self._menu.triggered.connect(self._on_choice)
        self.choose.setMenu(self._menu)
        self.setFocusProxy(self.line)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.choose)
        self.offer(())

    def classes(self) -> tuple[str, ...]:
        """Return the classes as they were typed."""
        return tuple(name for part in self.line.text().split(",") if (name := part.strip()))

    def set_classes(self, names: Sequence[str]) -> None:
        """Show these classes."""
        self.line.setText(", ".join(names))

    def offer(self, names: Sequence[str]) -> None:
        """Put the classes that can be chosen into the menu."""
        self._menu.clear()
        for name in names:
            action = self._menu.addAction(name.replace("&", "&&"))
            action.setData(name)
            action.setCheckable(True)
        self.choose.setEnabled(bool(names))
        self.choose.setToolTip(_CLASSES_TIP if names else _NO_CLASSES_TIP)

    def _tick(self) -> None:
        chosen = {name.casefold() for name in self.classes()}
        for action in self._menu.actions():
            action.setChecked(action.data().casefold() in chosen)

    def _on_choice(self, action: QAction) -> None:
        name = str(action.data())
        others = [one for one in self.classes() if one.casefold() != name.casefold()]
        self.set_classes([*others, name] if action.isChecked() else others)
