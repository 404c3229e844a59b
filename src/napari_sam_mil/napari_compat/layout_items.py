"""What a layout holds, in its order."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLayout, QWidget


def contents_of(layout: QLayout) -> list[QWidget | QLayout]:
    """Return the widgets and layouts in the layout of a widget, from first to last, without asking for its items.

    Why
        PySide6 keeps the object that ``itemAt`` returns until the layout is deleted, but Qt deletes an item as soon
        as its widget leaves. PySide6 then takes the next object at the address of the item for the item, for
        example a label or the effect that napari makes for a disabled button, and reads memory that is not its own.
    Seen in
        PySide6 6.11 (``addLayoutOwnership``). PyQt6 keeps nothing. No public function forgets an item.
    Without it
        With PySide6, napari crashes after a dock has been filled several times.
    """
    direct = Qt.FindChildOption.FindDirectChildrenOnly
    parent = layout.parentWidget()
    parts = [] if parent is None else parent.findChildren(QWidget, options=direct)
    parts += layout.findChildren(QLayout, options=direct)
    placed = [(layout.indexOf(part), part) for part in parts]
    return [part for place, part in sorted(placed, key=lambda one: one[0]) if place >= 0]
