"""What a layout holds, and what PySide6 keeps of it."""

from __future__ import annotations

from importlib import import_module

import pytest
import qtpy
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpacerItem,
    QVBoxLayout,
    QWidget,
)

from napari_sam_mil.napari_compat.layout_items import contents_of
from napari_sam_mil.widgets.dock import focusable


@pytest.fixture
def filled(qtbot):
    """A widget with a label, a row of two buttons, a gap and a form of two lines."""
    widget = QWidget()
    qtbot.addWidget(widget)
    outer, row, form = QVBoxLayout(widget), QHBoxLayout(), QFormLayout()
    outer.addWidget(QLabel("label"))
    row.addWidget(QPushButton("left"))
    row.addWidget(QPushButton("right"))
    row.addWidget(QComboBox())  # without entries, it is false in PyQt6
    outer.addLayout(row)
    outer.addStretch(1)
    outer.addSpacerItem(QSpacerItem(1, 1))
    form.addRow("name", QPushButton("first"))
    form.addRow(QLabel("other"), QPushButton("second"))
    outer.addLayout(form)
    return widget


def kept_items():
    """How many items of layouts that Qt made PySide6 keeps."""
    shiboken = import_module("shiboken6").Shiboken
    kinds = ("QLayoutItem", "QSpacerItem", "QWidgetItem")
    known = [one for one in shiboken.getAllValidWrappers() if type(one).__name__ in kinds]
    return sum(not shiboken.createdByPython(one) for one in known)


def test_the_parts_come_from_first_to_last_each_time(filled):
    for _ in range(2):
        label, row, form = contents_of(filled.layout())
        assert label.text() == "label"
        *buttons, choice = contents_of(row)
        assert [one.text() for one in buttons] == ["left", "right"]
        assert isinstance(choice, QComboBox)
        assert [one.text() for one in contents_of(form)] == ["name", "first", "other", "second"]
    assert filled.layout().itemAt(0).widget().text() == "label", "others may still ask for the item"


def test_the_fields_of_a_dock_are_those_of_its_layouts(filled):
    left, right, choice, first, second = focusable(filled.layout())
    assert [one.text() for one in (left, right, first, second)] == ["left", "right", "first", "second"]
    assert isinstance(choice, QComboBox)


@pytest.mark.skipif(not qtpy.PYSIDE6, reason="PyQt6 keeps no item")
def test_no_item_is_kept_that_qt_may_delete(filled):
    before = kept_items()
    assert len(list(focusable(filled.layout()))) == 5
    assert kept_items() == before
