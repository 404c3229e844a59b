"""The Preferences dock: what is set stays, and is used."""

from __future__ import annotations

from html import escape

import pytest
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog, QLabel

from napari_sam_mil import preferences as module
from napari_sam_mil.keys import WINDOW_KEYS, all_keys
from napari_sam_mil.preferences import Preferences, preferences, preferences_file, save_preferences
from napari_sam_mil.reader import read_slides
from napari_sam_mil.widgets.settings_form import SettingsForm
from sam_mil_engine.errors import SettingsError

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "user_config_path", lambda *_args, **_words: tmp_path / "config")


@pytest.fixture
def dock(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    return viewer, viewer.window.add_plugin_dock_widget("napari-sam-mil", "Preferences and keys")[1]


def test_folder_and_cache_stay_and_are_used(qtbot, dock, monkeypatch, tmp_path, tiny_slide):
    viewer, page = dock
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(tmp_path / "mine"))
    qtbot.mouseClick(page.folder, LEFT)
    page.cache.setFocus()
    qtbot.keyClick(page.cache, Qt.Key.Key_Up)
    assert preferences() == Preferences(project=str(tmp_path / "mine"), cache_mib=576)
    _, analyze = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Analyze")
    assert analyze.choices_card.choices().project == tmp_path / "mine"
    asked = []
    from sam_mil_engine.slide import pyramid

    real = pyramid.open_pyramid
    monkeypatch.setattr(pyramid, "open_pyramid", lambda slide, **words: asked.append(words) or real(slide, **words))
    read_slides(str(tiny_slide))
    assert [words["cache_bytes"] for words in asked] == [576 * 2**20]
    qtbot.mouseClick(page.reset, LEFT)
    assert preferences() == Preferences()


def test_settings_for_analyses_stay_and_an_analyze_dock_starts_with_them(qtbot, dock, monkeypatch):
    viewer, page = dock
    typed = {"segments.cuts": "8, 16", "tissue.otsu": True, "segments.pred_iou_thresh": 0.7}

    def type_and_accept(form):
        for name, value in typed.items():
            form.fields[name].value = value
        return SettingsForm.DialogCode.Accepted

    monkeypatch.setattr(SettingsForm, "exec", type_and_accept)
    qtbot.mouseClick(page.analyses, LEFT)
    wanted = {"segments.cuts": (8, 16), "tissue.otsu": True, "segments.pred_iou_thresh": 0.7}
    assert preferences().changes == wanted
    _, analyze = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Analyze")
    assert analyze.choices_card.choices().changes == wanted
    qtbot.mouseClick(page.reset, LEFT)
    assert preferences().changes == {}


def test_settings_that_do_not_exist_are_refused(tmp_path):
    save_preferences(Preferences(changes={"segments.no_such": 1}))
    with pytest.raises(SettingsError, match="preferences cannot be read"):
        preferences()


def test_background_loading_is_naparis_own_setting(qtbot, dock):
    _, page = dock
    before = get_settings().experimental.async_
    qtbot.mouseClick(page.slicing, LEFT, pos=QPoint(8, page.slicing.height() // 2))
    assert get_settings().experimental.async_ is not before
    get_settings().experimental.async_ = before
    assert page.slicing.isChecked() is before, "and follows it"


def test_a_damaged_file_is_told_and_the_defaults_serve(make_napari_viewer):
    preferences_file().parent.mkdir(parents=True)
    preferences_file().write_text("{")
    notification_manager.records.clear()
    viewer = make_napari_viewer(show=True)
    _, analyze = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Analyze")
    assert "preferences cannot be read" in notification_manager.records[0].message
    assert analyze.choices_card.choices().project == module.Choices().project


def test_the_list_of_keys_is_what_napari_honours_now(qtbot, dock):
    shown = {keys: what for rows in all_keys().values() for keys, what in rows.items()}
    assert shown["Ctrl+Enter"] == "Segment/Classify"
    assert shown["Ctrl+R"] == "Show the whole slide", "napari's own key, not one that it had once"
    for name, key in WINDOW_KEYS.items():
        bound = action_manager._shortcuts[name]
        assert [coerce_keybinding(one) for one in bound] == [coerce_keybinding(key.default)]
    text = " ".join(label.text() for label in dock[1].findChildren(QLabel))
    for keys, what in shown.items():
        assert escape(keys) in text
        assert what in text
