"""The command palette, the menus and the keys: what a person types and presses, in a real window."""

from __future__ import annotations

import inspect

import npe2
import pytest
from napari._app_model import get_app_model
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from napari_sam_mil import commands
from napari_sam_mil.docks import DOCKS, find_dock, open_dock

MANIFEST = "napari-sam-mil"


def manifest():
    return npe2.PluginManager.instance().get_manifest(MANIFEST)


@pytest.fixture
def palette(qtbot, make_napari_viewer):
    """Type a command into napari's palette and press Enter."""

    def run(viewer, words):
        window = viewer.window._qt_window
        window.activateWindow()
        qtbot.keyClick(
            window, Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
        )
        box = window._command_palette
        if not box.isVisible():  # menu keys need a window manager, which a bare display lacks
            viewer.window._toggle_command_palette()
        qtbot.keyClicks(box._line, words)
        offered = [command.title for command in box._list.iter_command()]
        qtbot.keyClick(box._line, Qt.Key.Key_Return)
        return offered

    return run


def test_every_command_of_the_plugin_stands_in_the_palette_and_can_be_called(make_napari_viewer):
    make_napari_viewer(show=True)
    app = get_app_model()
    listed = {item.command.id for item in app.menus.get_menu(app.menus.COMMAND_PALETTE_ID)}
    functions = {name for name, one in inspect.getmembers(commands, inspect.isfunction) if not name.startswith("_")}
    functions -= {"find_dock", "open_dock", "open_docks", "tell"}
    ours = {
        item.id: item.python_name for item in manifest().contributions.commands if ".commands:" in item.python_name
    }
    named = {name.partition(":")[2] for name in ours.values()}
    assert named == functions, "each function is a command, and each command a function"
    assert set(ours) <= listed
    for item in manifest().contributions.commands:
        assert item.python_name.to_python if hasattr(item.python_name, "to_python") else True
    internal = [item.id for item in manifest().contributions.commands if item.enablement == "False"]
    assert {name.partition(".")[2] for name in internal} == {
        *("get_reader", "get_folder_reader", "get_annotation_reader", "write_shapes", "write_segments")
    }


def test_the_docks_have_the_names_of_the_manifest():
    named = {item.display_name: item.command for item in manifest().contributions.widgets}
    paths = {item.id: item.python_name for item in manifest().contributions.commands}
    assert {name: paths[command] for name, command in named.items()} == {
        name: f"napari_sam_mil.{path}" for name, path in DOCKS.items()
    }


def test_the_palette_opens_the_dock_and_presses_the_button(qtbot, analysed, palette):
    viewer, session = analysed
    offered = palette(viewer, "figure 6")
    assert offered[0] == "Show or hide the patches above the threshold (Figure 6) (SAM-MIL)"
    assert find_dock(viewer, "Annotations").figure.show_box.isChecked()
    assert "above" in session.layers
    assert find_dock(viewer, "Annotations") is open_dock(viewer, "Annotations"), "one dock, not two"
    # by its key, and back by it
    window = viewer.window._qt_window
    qtbot.keyClick(window, Qt.Key.Key_6, Qt.KeyboardModifier.ControlModifier)
    assert "above" not in session.layers
    qtbot.keyClick(window, Qt.Key.Key_6, Qt.KeyboardModifier.ControlModifier)
    assert "above" in session.layers
    # a button that is disabled says so
    notification_manager.records.clear()
    palette(viewer, "prompts: next candidate")
    assert "“Next candidate” is not available now" in notification_manager.records[-1].message


def test_keys_and_palette_start_and_cancel_without_a_dock_open(
    qtbot, make_napari_viewer, tiny_slide, palette, tmp_path
):
    viewer = make_napari_viewer(show=True)
    viewer.open(str(tiny_slide), plugin=MANIFEST)
    window = viewer.window._qt_window
    window.activateWindow()
    notification_manager.records.clear()
    qtbot.keyClick(window, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    assert "not running anything that could be cancelled" in notification_manager.records[-1].message
    open_dock(viewer, "Analyze").choices_card.set_project(tmp_path / "project")
    palette(viewer, "find the tissue")
    dock = find_dock(viewer, "Analyze")
    assert dock.job is not None
    job = dock.job
    with qtbot.waitSignal(job.ended):
        qtbot.keyClick(window, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    assert job.cancelling


def test_the_menus_of_napari_offer_the_commands(make_napari_viewer):
    make_napari_viewer(show=True)
    menus = get_app_model().menus
    offered = {
        place: {item.command.id.partition(".")[2] for item in menus.get_menu(place) if hasattr(item, "command")}
        for place in ("napari/layers/segment", "napari/layers/classify", "napari/file/io_utilities")
    }
    assert {"prompts", "segment"} <= offered["napari/layers/segment"]
    assert "segment_classify" in offered["napari/layers/classify"]
    assert {"open_project", "export_groups_geojson"} <= offered["napari/file/io_utilities"]


def test_the_manifest_is_valid():
    path = npe2.PluginManager.instance().get_manifest(MANIFEST)
    path.validate_imports()
