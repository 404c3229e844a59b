"""What a layout holds, in its order."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import qtpy
from qtpy.QtWidgets import QLayout, QWidget


def contents_of(layout: QLayout) -> list[QWidget | QLayout]:
    """Return the widgets and layouts in a layout, from first to last.

    Why
        PySide6 keeps the object that ``itemAt`` returns until the layout is deleted, and it makes the same objects
        for what is in a layout when this is added to another one. Qt deletes an item as soon as its widget leaves.
        PySide6 then takes the next object at the address of the item for the item, for example a label or the
        effect that napari makes for a disabled button, and reads memory that is not its own.
    Seen in
        PySide6 6.11 (``addLayoutOwnership``). PyQt6 keeps nothing. No public function forgets an item.
    Without it
        With PySide6, napari crashes after a dock has been filled several times.
    """
    found: list[QWidget | QLayout] = []
    for place in range(layout.count()):
        item = layout.itemAt(place)
        if item is None:
            continue
        part = item.widget() or item.layout()
        if part is not None:
            found.append(part)
        if item.layout() is None:
            _forget(item)
    return found


def _forget(item: Any) -> None:
    """Let PySide6 forget a layout's item that Qt made. Its widget is not affected."""
    if not qtpy.PYSIDE6:
        return
    shiboken = import_module("shiboken6").Shiboken
    if not shiboken.createdByPython(item):
        shiboken.invalidate(item)
