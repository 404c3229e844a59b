"""napari's window filters the events of all widgets only while its menu bar hides itself."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QLabel

from napari_sam_mil.napari_compat.event_filter import filter_events_on_demand

#: How a window is before the plugin has been used in it.
pytestmark = pytest.mark.own_window


@pytest.fixture
def filtered(make_napari_viewer, qtbot):
    """A viewer, and a function that tells whether the window's filter sees an event of a label."""
    viewer = make_napari_viewer(show=True)
    window = viewer.window._qt_window
    label, seen = QLabel("label"), []
    qtbot.addWidget(label)

    def watch(source, event):
        seen.append(event.type())
        return False

    def sees():
        seen.clear()
        QApplication.sendEvent(label, QEvent(QEvent.Type.UpdateRequest))
        return bool(seen)

    window.eventFilter = watch
    yield viewer, sees
    del window.eventFilter


def test_the_window_sees_events_while_its_menu_bar_hides_itself(filtered):
    viewer, sees = filtered
    assert sees(), "napari filters all events; if it no longer does, this help can go"
    filter_events_on_demand(viewer)
    assert not sees()
    for hides_itself in (True, False, True, False):
        viewer.window._toggle_menubar_visible()
        assert viewer.window._qt_window.menuBar().isVisible() is not hides_itself
        assert sees() is hides_itself


def test_a_menu_bar_that_hides_itself_already_still_does(filtered):
    viewer, sees = filtered
    viewer.window._toggle_menubar_visible()
    filter_events_on_demand(viewer)
    assert sees()


def test_without_the_private_name_napari_filters_all_events(filtered, monkeypatch):
    viewer, sees = filtered
    monkeypatch.delattr(type(viewer.window._qt_window), "toggle_menubar_visibility")
    filter_events_on_demand(viewer)
    assert sees()


def test_a_viewer_without_a_window_is_left_alone(qapp):
    filter_events_on_demand(object())
