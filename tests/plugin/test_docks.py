"""Docks that are opened from napari's menu: where they go, and what the menu does with them."""

from __future__ import annotations

import gc
import weakref

from by_hand import choose_menu, click, pause, until
from qtpy.QtWidgets import QTabBar

from napari_sam_mil.docks import DOCKS, find_dock, open_dock
from napari_sam_mil.layers.view import sees_all
from napari_sam_mil.napari_compat.dock_frames import frame_of
from napari_sam_mil.session.viewer import sessions_of
from napari_sam_mil.widgets import dock as base


def open_by_menu(viewer, name):
    choose_menu(viewer, "Plugins", "SAM-MIL", f"{name} (SAM-MIL)")
    pause()


def in_front(viewer, name):
    dock = find_dock(viewer, name)
    return dock is not None and dock.isVisible() and not dock.visibleRegion().isEmpty()


def test_docks_share_one_place_and_the_menu_brings_them_to_the_front(make_napari_viewer, tiny_slide):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1300, 850)
    viewer.open(str(tiny_slide), plugin="napari-sam-mil")
    for name in DOCKS:
        open_by_menu(viewer, name)
        until(lambda name=name: in_front(viewer, name), f"{name} in front")
        until(lambda name=name: find_dock(viewer, name).height() > 500, f"room for {name}")
    tabs = next(bar for bar in viewer.window._qt_window.findChildren(QTabBar) if bar.count() == len(DOCKS))
    assert [tabs.tabText(place) for place in range(tabs.count())] == list(DOCKS)
    open_by_menu(viewer, "Segments")
    until(lambda: in_front(viewer, "Segments"), "the dock that lay behind, not hidden but in front")
    open_by_menu(viewer, "Segments")
    until(lambda: not find_dock(viewer, "Segments").isVisible(), "the dock in front, hidden")
    open_by_menu(viewer, "Segments")
    until(lambda: in_front(viewer, "Segments"), "the dock that was hidden")


def test_the_dock_asked_for_last_comes_to_the_front_though_qt_places_it_late(make_napari_viewer, monkeypatch):
    viewer, choose, asked = make_napari_viewer(show=True), base.choose_tab, []

    def late(dock):
        asked.append(type(dock).__name__)
        return len(asked) > 4 and choose(dock)

    monkeypatch.setattr(base, "choose_tab", late)
    for name in ("Analyze", "Models"):
        open_dock(viewer, name)
    until(lambda: len(asked) > 4 and in_front(viewer, "Models"), "the dock asked for last in front")
    pause()
    assert asked[2:] == ["ModelsDock"] * (len(asked) - 2), "nobody looks again for the dock before it"
    assert in_front(viewer, "Models")


def test_a_dock_that_was_closed_behind_another_stays_closed(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    for name in ("Analyze", "Segments"):
        open_by_menu(viewer, name)
    frame = frame_of(find_dock(viewer, "Segments"))
    click(frame.title.close_button)
    until(lambda: find_dock(viewer, "Segments") is None, "the dock gone")
    viewer.window.remove_dock_widget(frame_of(find_dock(viewer, "Analyze")))
    pause()
    assert find_dock(viewer, "Analyze") is None


def test_docks_that_were_closed_are_freed_and_hear_of_no_slide(analysed, tiny_slide):
    viewer, _ = analysed

    def open_and_close(name):
        dock = open_dock(viewer, name)
        pause()
        click(frame_of(dock).title.close_button)
        return weakref.ref(dock)

    docks = {name: open_and_close(name) for name in DOCKS}
    viewer.open(str(tiny_slide), plugin="napari-sam-mil")
    until(lambda: gc.collect() >= 0 and not any(dock() for dock in docks.values()), "the docks freed")


def test_a_slide_that_was_seen_whole_is_seen_whole_beside_the_dock(make_napari_viewer, tiny_slide):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1300, 800)
    viewer.open(str(tiny_slide), plugin="napari-sam-mil")
    pause()
    source = sessions_of(viewer).current.source
    width = viewer.canvas.size[1]
    assert sees_all(viewer, source.info.size_px0, source.mpp)
    choose_menu(viewer, "Plugins", "SAM-MIL", "Analyze (SAM-MIL)")
    until(lambda: viewer.canvas.size[1] < width - 100, "less room for the image")
    pause()
    assert sees_all(viewer, source.info.size_px0, source.mpp)


def test_a_part_that_was_looked_at_stays_when_a_dock_comes(make_napari_viewer, tiny_slide):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1300, 800)
    viewer.open(str(tiny_slide), plugin="napari-sam-mil")
    pause()
    viewer.scene.camera.zoom *= 3
    before = (viewer.scene.camera.center, viewer.scene.camera.zoom)
    choose_menu(viewer, "Plugins", "SAM-MIL", "Analyze (SAM-MIL)")
    until(lambda: find_dock(viewer, "Analyze") is not None, "the dock")
    pause()
    assert (viewer.scene.camera.center, viewer.scene.camera.zoom) == before
