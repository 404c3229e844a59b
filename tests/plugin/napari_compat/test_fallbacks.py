"""Each trick on a private name, with the name taken away: the feature is slower, and nothing fails."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from by_hand import until
from napari.components import LayerList
from napari.layers import Points
from napari.utils._proxies import PublicOnlyProxy
from napari.utils.key_bindings import KeymapProvider
from qtpy.QtCore import QTimer
from qtpy.QtGui import QMovie
from qtpy.QtWidgets import QLabel, QWidget

from napari_sam_mil.layers import preload
from napari_sam_mil.napari_compat import (
    dock_frames,
    event_loop,
    first_use,
    graphics,
    scale_bar,
    spinner,
    status_bar,
    units,
    viewers,
)
from napari_sam_mil.napari_compat.layers import copy_class_keys, insert_unselected
from napari_sam_mil.napari_compat.spinner import SPINNER_SPEED

#: How a window is before the plugin has been used in it.
pytestmark = pytest.mark.own_window


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


@pytest.fixture
def no_canvas(monkeypatch):
    for module in (graphics, scale_bar, units):
        monkeypatch.setattr(module, "qt_canvas", lambda _viewer: None)


def test_without_a_canvas_napari_says_what_it_always_does_of_units(viewer, no_canvas):
    before = viewer.window._qt_viewer.canvas._update_world_units
    units.silence_unit_warnings(viewer)
    assert viewer.window._qt_viewer.canvas._update_world_units == before


class Bare:
    """A proxy of a viewer that does not say of what."""


@pytest.mark.parametrize("private", [True, False])
def test_a_proxy_and_its_viewer_are_one(viewer, private):
    proxy = PublicOnlyProxy(viewer)
    if not private:
        proxy = type("PublicOnlyProxy", (Bare,), {})()
    assert viewers.real_viewer(proxy) is viewer
    assert viewers.real_viewer(viewer) is viewer


def test_a_viewer_without_a_window_has_no_canvas():
    assert viewers.qt_canvas(Bare()) is None
    assert viewers.qt_viewer(Bare()) is None


class SelectingList(LayerList):
    """napari's list, as it would be without the private switch: what is inserted is selected."""

    def insert(self, index, value):
        self._activate_on_insert = True
        super().insert(index, value)
        del self._activate_on_insert


@pytest.mark.parametrize("private", [True, False])
def test_an_inserted_layer_is_not_selected(private):
    layers = (LayerList if private else SelectingList)([Points(np.zeros((1, 2)), name="first")])
    layers.selection.active = layers[0]
    seen = []
    layers.selection.events.active.connect(lambda event: seen.append(event.value))
    insert_unselected(layers, 0, Points(np.zeros((1, 2)), name="second"))
    assert [layer.name for layer in layers] == ["second", "first"]
    assert layers.selection.active.name == "first"
    assert bool(seen) is not private, "without the private name the selection goes there and back"


@pytest.mark.parametrize("private", [True, False])
def test_a_layer_takes_the_keys_of_a_class(private):
    class Keys(KeymapProvider):
        pass

    Keys.bind_key("K", lambda _layer: None)
    layer = Points(np.zeros((1, 2)))
    if not private:
        del Keys.class_keymap
        Keys = type("Keys", (), {})
    copy_class_keys(layer, Keys)
    assert len(layer.keymap) == (1 if private else 0)


def test_the_scale_bar_appears_at_once_without_the_font(viewer, no_canvas):
    scale_bar.show_scale_bar(viewer)
    assert viewer.canvas.overlays.scale_bar.visible


def test_a_canvas_without_fonts_is_no_error(viewer, monkeypatch):
    monkeypatch.setattr(scale_bar, "qt_canvas", lambda _viewer: object())
    scale_bar.show_scale_bar(viewer)
    assert viewer.canvas.overlays.scale_bar.visible


def test_layers_leave_without_the_context(viewer, no_canvas):
    graphics.keep_context(viewer)
    viewer.add_points(np.zeros((1, 2)))
    viewer.layers.clear()
    assert len(viewer.layers) == 0


def test_a_spinner_that_is_elsewhere_keeps_its_speed(qtbot):
    parent = QWidget()
    qtbot.addWidget(parent)
    label = QLabel(parent)
    label.setMovie(QMovie(parent))
    spinner.slow_spinner()
    assert label.movie().speed() == 100
    assert SPINNER_SPEED < 100


def test_what_cannot_be_loaded_ahead_is_left_to_napari(monkeypatch):
    first_use.load("no_module_of_this_name")
    for name, gone in (("pint", "get_application_registry"), ("vispy.visuals.line.dash_atlas", "DashAtlas")):
        module = pytest.importorskip(name)
        monkeypatch.delattr(module, gone)
    first_use.read_units()
    first_use.make_dashes()


def test_results_arrive_where_loading_ahead_fails(viewer, monkeypatch, caplog):
    def fail():
        raise RuntimeError("a library has changed")

    monkeypatch.setattr(preload, "load_for_results", fail)
    assert preload.while_loading(lambda: "results") == "results"
    assert "take longer to appear" in caplog.text


def test_an_event_is_handled_in_the_middle_of_work(qapp):
    handled = []
    QTimer.singleShot(0, lambda: handled.append(True))
    event_loop.process_events()
    until(lambda: handled, "the event")


def test_threads_change_as_usual_after_the_jobs():
    usual = sys.getswitchinterval()
    event_loop.switch_threads_often(on=True)
    assert sys.getswitchinterval() < usual
    event_loop.switch_threads_often(on=False)
    assert sys.getswitchinterval() == usual


def test_a_status_of_another_kind_is_left_alone(viewer):
    status_bar.show_in_status_bar(viewer, lambda _viewer, value: f"here {value}".strip())
    status_bar.show_in_status_bar(viewer, lambda _viewer, _value: "told twice")
    names = ("layer_base", "source_type", "plugin")
    viewer.status = dict.fromkeys(names, "") | {"coords": "[1 2]", "coordinates": "[1 2]", "value": "7"}
    assert viewer.status["coordinates"] == "here 7"
    viewer.status = "Ready"
    assert viewer.status == "Ready"


def test_a_dock_without_a_frame_stays_where_it_is(qtbot):
    widget, other = QWidget(), QWidget()
    qtbot.addWidget(widget)
    qtbot.addWidget(other)
    assert dock_frames.frame_of(widget) is None
    assert not dock_frames.join_tabs(widget, [other], plugin="SAM-MIL")
    dock_frames.choose_tab(widget)
