"""The plugin's keys in napari's own list: shown there, changed there, honoured at once."""

from __future__ import annotations

import pytest
from by_hand import Dialogs, button, canvas, choose_menu, click, key, pause, press, undrawn, until, words_of
from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDialog, QLineEdit, QListWidget, QTableWidget

from napari_sam_mil.analysis import sam_calls
from napari_sam_mil.docks import find_dock, open_dock
from napari_sam_mil.keys import PROMPT_KEYS, WINDOW_KEYS, key_of
from sam_mil_engine.segment.predictor import SamPrompter
from small_sams import build_small_sam

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def prompts(make_napari_viewer, tiny_slide, monkeypatch, in_this_process):
    """A window with a slide, and the Prompts dock with a small SAM, its point tool in the hand."""
    sam = SamPrompter(build_small_sam(), name="small", version="1")
    monkeypatch.setattr(sam_calls, "prompter", lambda _name: sam)
    monkeypatch.setattr("napari_sam_mil.widgets.prompts.dock.sams_on_disk", lambda: ["small"])
    viewer = make_napari_viewer(show=True)
    with undrawn(viewer):
        viewer.window.resize(1200, 800)
        viewer.open(str(tiny_slide), plugin="napari-sam-mil")
        dock = open_dock(viewer, "Prompts")
    pause()
    press(dock, "+ Point")
    QTest.mouseClick(canvas(viewer), LEFT, NONE, canvas(viewer).rect().center())
    until(lambda: dock.card.facts.text().startswith("Candidate 1 of 3"), "SAM's answer")
    return viewer, dock


def shortcuts_page(viewer):
    """Open *File > Preferences > Shortcuts* and return the window with its table."""
    choose_menu(viewer, "File", "Preferences")
    pause()
    dialogs = viewer.window._qt_window.findChildren(QDialog)
    dialog = next(one for one in dialogs if one.windowTitle() == "Preferences" and one.isVisible())
    pages = next(one for one in dialog.findChildren(QListWidget) if one.findItems("Shortcuts", Qt.MatchExactly))
    click(pages.viewport(), pages.visualItemRect(pages.findItems("Shortcuts", Qt.MatchExactly)[0]).center())
    pause()
    return dialog, next(one for one in dialog.findChildren(QTableWidget) if one.isVisible())


def row_of(table, words):
    return next(row for row in range(table.rowCount()) if table.item(row, 0).text() == words)


def press_in_list(table, words, letter):
    """Go to the key of an action, edit it, and press another one."""
    item = table.item(row_of(table, words), 2)
    table.scrollToItem(item)
    pause()
    click(table.viewport(), table.visualItemRect(item).center())
    QTest.keyClick(table, Qt.Key.Key_F2)
    until(lambda: any(one.isVisible() for one in table.findChildren(QLineEdit)), "the editor")
    editor = next(one for one in table.findChildren(QLineEdit) if one.isVisible())
    QTest.keyClick(editor, letter)
    if editor.isVisible():  # where the window is not active, the editor does not see that it lost the keyboard
        QTest.keyClick(editor, Qt.Key.Key_Return)
    pause()


def candidate(dock):
    return dock.card.facts.text()[:11]


def test_a_key_is_changed_in_naparis_list_and_given_back(prompts):
    viewer, dock = prompts
    page = open_dock(viewer, "Preferences and keys")
    dialog, table = shortcuts_page(viewer)
    listed = {table.item(row, 0).text() for row in range(table.rowCount())}
    assert {f"SAM-MIL: {one.what}" for one in WINDOW_KEYS.values()} <= listed
    assert {f"SAM-MIL: {one.what} (layer prompts)" for one in PROMPT_KEYS.values()} <= listed
    press_in_list(table, "SAM-MIL: Next candidate (layer prompts)", Qt.Key.Key_N)
    press_in_list(table, "SAM-MIL: Cancel the running job", Qt.Key.Key_J)
    press(dialog, "OK")
    assert (key_of("next_candidate"), key_of("cancel")) == ("N", "J")
    assert "N next candidate" in dock.card.keys.text()
    assert "(N in the image)" in dock.card.next.toolTip()
    pause()
    assert "<b>J</b>" in words_of(page), "the list of keys follows"
    QTest.keyClick(canvas(viewer), Qt.Key.Key_C)
    assert candidate(dock) == "Candidate 1"
    QTest.keyClick(canvas(viewer), Qt.Key.Key_N)
    assert candidate(dock) == "Candidate 2"
    dialog, _ = shortcuts_page(viewer)
    with Dialogs(lambda box: click(button(box, "Restore Defaults"))):
        press(dialog, "Restore All Keybindings")
    press(dialog, "OK")
    assert (key_of("next_candidate"), key_of("cancel")) == ("C", "Ctrl+.")
    QTest.keyClick(canvas(viewer), Qt.Key.Key_N)
    assert candidate(dock) == "Candidate 2"
    QTest.keyClick(canvas(viewer), Qt.Key.Key_C)
    assert candidate(dock) == "Candidate 3"


def test_the_keys_of_prompts_are_those_of_their_layer_alone(prompts):
    viewer, dock = prompts
    other = viewer.add_shapes(name="other")
    assert not any(str(one) == "C" for one in other.keymap)
    QTest.keyClick(canvas(viewer), Qt.Key.Key_C)
    assert candidate(dock) == "Candidate 1", "another layer is selected"
    viewer.layers.selection.active = viewer.layers["prompts"]
    QTest.keyClick(canvas(viewer), Qt.Key.Key_C)
    assert candidate(dock) == "Candidate 2"


@pytest.mark.own_window
def test_keys_chosen_in_an_earlier_session_are_kept(make_napari_viewer, tiny_slide):
    shortcuts = get_settings().shortcuts
    shortcuts.shortcuts = {**shortcuts.shortcuts, "napari-sam-mil:toggle_figure_6": ["Control-J"]}
    viewer = make_napari_viewer(show=True)
    viewer.open(str(tiny_slide), plugin="napari-sam-mil")
    assert key_of("toggle_figure_6") == "Ctrl+J"
    key(viewer, Qt.Key.Key_J, Qt.KeyboardModifier.ControlModifier)
    assert find_dock(viewer, "Annotations") is not None
