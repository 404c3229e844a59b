"""Docks in a small window: nothing is cut, and their words are those of the window."""

from __future__ import annotations

import re

import pytest
from by_hand import undrawn
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QPushButton,
    QScrollArea,
    QToolTip,
    QWidget,
)

from napari_sam_mil.docks import DOCKS, frame_of
from napari_sam_mil.widgets.parts import DOCK_WIDTH, ShortCombo

LONG_NAME = "a classifier with a name that no dock of this width can show"


@pytest.fixture
def narrow(make_napari_viewer, tiny_slide):
    """Open a dock beside a slide, as wide as the smallest window leaves it."""
    viewer = make_napari_viewer(show=True)
    with undrawn(viewer):
        viewer.window.resize(1024, 768)
        viewer.open(str(tiny_slide), plugin="napari-sam-mil")

    def build(name: str) -> QWidget:
        _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", name)
        if name == "Analyze":
            dock.fold.line.setChecked(True)
        frame = frame_of(dock)
        frame.setFloating(True)
        frame.resize(DOCK_WIDTH, 700)
        QApplication.processEvents()
        return dock

    return build


@pytest.mark.parametrize("name", DOCKS)
def test_no_button_and_no_field_is_cut(narrow, name: str) -> None:
    dock = narrow(name)
    for area in dock.findChildren(QScrollArea):
        if area.isVisible() and area.widget() is not None:
            assert area.widget().width() <= area.viewport().width(), "no scrolling to the side"
    for widget in dock.findChildren(QWidget):
        if not widget.isVisible():
            continue
        if isinstance(widget, QPushButton | QCheckBox) and widget.objectName() != "samMilFold":
            assert widget.width() >= widget.minimumSizeHint().width(), widget.text()
            text = widget.fontMetrics().horizontalAdvance(widget.text().replace("&", ""))
            assert widget.width() >= text + (20 if isinstance(widget, QCheckBox) else 4), widget.text()
        if isinstance(widget, QAbstractSpinBox):
            text = widget.fontMetrics().horizontalAdvance(widget.text())
            assert widget.lineEdit().width() >= text, widget.text()
        if isinstance(widget, QLabel) and widget.buddy() is not None:
            assert widget.width() >= widget.sizeHint().width(), widget.text()


@pytest.mark.parametrize("name", DOCKS)
def test_a_choice_that_does_not_fit_is_whole_in_its_tooltip(narrow, name: str) -> None:
    dock = narrow(name)
    for box in dock.findChildren(QComboBox):
        if not box.isVisible():
            continue
        assert isinstance(box, ShortCombo), box.toolTip()
        box.addItems(["short"] * (not box.count()) + [LONG_NAME])
        tip = box.toolTip()
        box.setCurrentIndex(box.count() - 1)
        assert box.shown_text().endswith("…")
        assert box.shown_text() != LONG_NAME
        assert LONG_NAME in box.toolTip(), "the whole text"
        box.setCurrentIndex(0)
        assert LONG_NAME not in box.toolTip()
        assert tip.splitlines()[-1] in box.toolTip(), "and what the choice is for"


@pytest.mark.parametrize("name", DOCKS)
def test_the_words_of_a_dock_are_those_of_the_window(narrow, name: str) -> None:
    command = re.compile(r"(?:^|[\s(`])--\w|sam-mil-engine|command line|`")
    dock = narrow(name)
    read = 0
    for widget in [dock, *dock.findChildren(QWidget)]:
        texts = [widget.toolTip(), widget.accessibleName(), widget.windowTitle()]
        if isinstance(widget, QLabel | QAbstractButton):
            texts.append(widget.text())
        if isinstance(widget, QComboBox):
            texts += [widget.itemText(row) for row in range(widget.count())]
            texts += [str(widget.itemData(row, 3) or "") for row in range(widget.count())]
        for text in filter(None, texts):
            read += 1
            assert not command.search(text), text
    assert read > 5, "else nothing was looked at"
    QToolTip.hideText()


def cut_texts(dock: QWidget) -> list[str]:
    """Texts that wrap and have less height than their lines need."""
    labels = [label for label in dock.findChildren(QLabel) if label.isVisible() and label.wordWrap()]
    assert labels
    return [label.text() for label in labels if label.heightForWidth(label.width()) > label.height()]


@pytest.mark.parametrize("name", DOCKS)
def test_a_text_that_wraps_has_room_for_all_its_lines(qtbot, narrow, name: str) -> None:
    dock = narrow(name)
    qtbot.waitUntil(lambda: cut_texts(dock) == [])


def test_the_metrics_of_an_agreement_are_whole(qtbot, annotations_dock) -> None:
    frame = frame_of(annotations_dock)
    frame.setFloating(True)
    frame.resize(DOCK_WIDTH, 700)
    card = annotations_dock.agreement
    assert "IoU" in card.metrics()["Best segment"]
    qtbot.waitUntil(lambda: cut_texts(card) == [])
    assert card.classes.shown_text() == card.chosen
