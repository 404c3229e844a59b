"""The Models dock: list, verify, fetch, add, import."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_sam_mil.analysis import library as library_module
from napari_sam_mil.analysis import models as models_module
from napari_sam_mil.analysis.prompting import sams_on_disk
from napari_sam_mil.widgets.parts import without_empty_headers
from sam_mil_engine.models.catalogue import catalogue
from sam_mil_engine.models.files import MODELS_VARIABLE
from sam_mil_engine.models.registry import available
from sam_mil_engine.models.segmenters import SEGMENTERS, added_sams
from sam_mil_engine.segment import checkpoints
from small_sams import build_small_sam

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setattr(library_module, "user_data_path", lambda *_args, **_keys: tmp_path / "data")


@pytest.fixture
def dock(qtbot, make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Models")
    qtbot.waitUntil(lambda: dock.list.topLevelItemCount() == 3 and not dock.jobs.busy)
    return dock


def names(dock, group):
    top = dock.list.topLevelItem(group)
    return [top.child(row).text(0) for row in range(top.childCount())]


def choose(qtbot, dock, name):
    (item,) = dock.list.findItems(name, Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive)
    dock.list.scrollToItem(item)
    qtbot.mouseClick(dock.list.viewport(), LEFT, pos=dock.list.visualItemRect(item).center())
    assert dock.chosen.name == name


def press(qtbot, dock, button):
    qtbot.mouseClick(button, LEFT)
    qtbot.waitUntil(lambda: not dock.jobs.busy)


def test_every_model_of_the_engine_is_listed_with_what_it_is(qtbot, dock):
    listed = {
        role: [entry.name for entry in catalogue() if entry.role == role] for role in ("segmenter", "encoder")
    }
    assert names(dock, 0) == listed["segmenter"]
    assert names(dock, 1) == listed["encoder"]
    assert {item.name for item in available("segmenter")} <= set(listed["segmenter"])
    assert "demo" in names(dock, 2)
    assert "Runs on" in dock.machine.text()
    choose(qtbot, dock, "vit_b")
    assert "dl.fbaipublicfiles.com" in dock.facts.text()
    assert "Apache-2.0" in dock.facts.text()
    assert dock.fetch_button.isEnabled()
    assert not dock.verify_button.isEnabled()
    choose(qtbot, dock, "demo")
    assert "not for diagnosis" in dock.card.toPlainText().lower()
    assert not dock.fetch_button.isEnabled()
    press(qtbot, dock, dock.verify_button)
    assert "weights and description fit" in dock.status.text()


def test_access_is_checked_and_what_to_do_is_said(qtbot, dock, monkeypatch):
    monkeypatch.setenv("SAM_MIL_OFFLINE", "1")
    choose(qtbot, dock, "virchow2")
    assert "its authors ask who downloads it" in dock.facts.text()
    press(qtbot, dock, dock.check_button)
    assert dock.status.text().startswith("virchow2: its weights are not here, and the network is turned off")
    assert "CC-BY-NC-ND-4.0" in dock.status.text()
    choose(qtbot, dock, "conch-v1.5")
    assert not dock.fetch_button.isEnabled()
    press(qtbot, dock, dock.check_button)
    assert "TRIDENT" in dock.status.text()


@pytest.fixture
def served(tmp_path, monkeypatch, in_this_process):
    """vit_b is a small file on a server on this computer."""
    (tmp_path / "web").mkdir()
    content = b"weights" * 300_000
    (tmp_path / "web" / "sam.pth").write_bytes(content)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "web"))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/sam.pth"
        known = {"file": "sam.pth", "source": url, "sha256": hashlib.sha256(content).hexdigest(), "size": 0}
        monkeypatch.setitem(SEGMENTERS, "vit_b", replace(SEGMENTERS["vit_b"], **known))
        yield tmp_path / "web" / "sam.pth"
        server.shutdown()
        thread.join()


def test_fetching_puts_the_file_in_place_and_every_dock_knows(qtbot, served, dock):
    choose(qtbot, dock, "vit_b")
    press(qtbot, dock, dock.fetch_button)
    qtbot.waitUntil(lambda: dock.chosen is not None and dock.chosen.on_disk)
    assert dock.chosen.name == "vit_b"
    assert not dock.fetch_button.isEnabled()
    press(qtbot, dock, dock.verify_button)
    assert "the published file" in dock.status.text()


def test_a_file_that_is_gone_is_a_notification_that_says_what_to_do(qtbot, served, dock):
    served.unlink()
    notification_manager.records.clear()
    choose(qtbot, dock, "vit_b")
    press(qtbot, dock, dock.fetch_button)
    qtbot.waitUntil(lambda: bool(notification_manager.records))
    assert "put the file into" in notification_manager.records[0].message
    assert dock.fetch_button.isEnabled()


def test_a_published_file_from_elsewhere_is_copied_to_its_place(qtbot, served, dock, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(served), ""))
    press(qtbot, dock, dock.add_button)
    qtbot.waitUntil(SEGMENTERS["vit_b"].file_path.is_file)
    assert dock.status.text().startswith("Copied as vit_b")


def test_a_file_that_is_no_model_is_refused(qtbot, dock, monkeypatch, tmp_path):
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(tmp_path / "bad.pth"), ""))
    notification_manager.records.clear()
    press(qtbot, dock, dock.add_button)
    qtbot.waitUntil(lambda: bool(notification_manager.records))
    assert "cannot be read" in notification_manager.records[0].message
    assert "bad" not in names(dock, 0)


def test_an_imported_run_can_be_chosen_in_the_analyze_dock_and_forgotten(
    qtbot, dock, run_folder, monkeypatch, make_napari_viewer
):
    _, analyze = make_napari_viewer(show=True).window.add_plugin_dock_widget("napari-sam-mil", "Analyze")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(run_folder))
    press(qtbot, dock, dock.import_button)
    qtbot.waitUntil(lambda: run_folder.name in names(dock, 2))
    assert analyze.choices_card.classifier.findText(run_folder.name) >= 0
    choose(qtbot, dock, run_folder.name)
    assert "Random weights" in dock.card.toPlainText()
    qtbot.mouseClick(dock.remove_button, LEFT)
    qtbot.waitUntil(lambda: run_folder.name not in names(dock, 2))
    assert run_folder.is_dir()


def test_every_model_can_be_fetched_or_says_why_not(dock):
    for model in dock._models:
        assert model.licence or not model.on_disk
        if not model.fetchable:
            with pytest.raises(models_module.ModelError, match="no file to fetch"):
                models_module.fetch_work(model)


@pytest.mark.usefixtures("in_this_process")
def test_a_sam_of_the_users_own_is_copied_where_the_command_line_finds_it_too(qtbot, dock, monkeypatch, tmp_path):
    torch.save(build_small_sam().state_dict(), tmp_path / "my-sam.pth")
    monkeypatch.setattr(checkpoints, "load_sam", lambda *_args, **_words: build_small_sam())
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(tmp_path / "my-sam.pth"), ""))
    press(qtbot, dock, dock.add_button)
    qtbot.waitUntil(lambda: "my-sam" in names(dock, 0))
    (tmp_path / "my-sam.pth").unlink()
    assert added_sams()["my-sam"].file_path.is_file(), "a copy, which stays when the file goes"
    assert sams_on_disk() == ["tissue-sam", "my-sam"]
    choose(qtbot, dock, "my-sam")
    qtbot.mouseClick(dock.remove_button, LEFT)
    qtbot.waitUntil(lambda: "my-sam" not in names(dock, 0))
    assert added_sams() == {}


def test_a_table_without_headings_begins_with_its_first_row():
    table = "| | |\n|---|---|\n| method | SAM-MIL |\n| input | patches |\n"
    assert without_empty_headers(table) == "| method | SAM-MIL |\n|---|---|\n| input | patches |\n"
    named = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert without_empty_headers(named) == named
