"""Files and folders that are dropped into the image or chosen in the menus of a real window."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from by_hand import Dialogs, choose_menu, click, drop, pause, take_reader, until
from napari.settings import get_settings
from qtpy.QtWidgets import QFileDialog, QRadioButton

from napari_sam_mil.docks import find_dock, open_dock
from napari_sam_mil.napari_compat.reader_choice import SLIDE_PATTERNS, is_slide_reader
from napari_sam_mil.session.viewer import sessions_of
from sam_mil_engine.errors import ProjectError
from sam_mil_engine.slide.containers import UNREAD
from sam_mil_engine.slide.finding import EXTENSIONS, IMAGE_EXTENSIONS
from zarr_slides import write_zarr

RESULTS = ["finished", "tissue", "segments (tissue-regions)"]


@pytest.fixture
def window(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1300, 850)
    return viewer


def slides_of(viewer):
    return [session.source.info.slide_id for session in sessions_of(viewer).all()]


def test_a_slide_is_dropped_and_napari_asks_once(window, cmu_slide, tmp_path):
    other = shutil.copy(cmu_slide, tmp_path / "other.svs")
    asked = []

    def look(dialog):
        chosen = next(one for one in dialog.findChildren(QRadioButton) if one.isChecked())
        asked.append(chosen.text())
        take_reader("SAM-MIL", remember=True)(dialog)

    with Dialogs(look):
        drop(window, cmu_slide)
    assert slides_of(window) == ["CMU-1-Small-Region"]
    assert asked == ["SAM-MIL"], "napari proposes this plugin first"
    with Dialogs():
        drop(window, other)
    assert slides_of(window) == ["CMU-1-Small-Region", "other"], "the answer was remembered"


def test_by_a_tick_in_the_preferences_slides_open_without_being_asked_for(window, cmu_slide):
    page = open_dock(window, "Preferences and keys")
    pause()
    settings = get_settings().plugins
    settings.extension2reader = {"*.svs": "napari", "*.csv": "napari"}
    assert not page.readers.isChecked()
    click(page.readers)
    assert is_slide_reader()
    assert settings.extension2reader["*.csv"] == "napari", "other choices stay"
    with Dialogs():
        drop(window, cmu_slide)
    assert slides_of(window) == ["CMU-1-Small-Region"]
    click(page.readers)
    assert set(settings.extension2reader) == {"*.csv"}
    click(page.readers)
    settings.extension2reader = {}
    assert not page.readers.isChecked(), "napari's own page is followed"


def test_the_patterns_are_slides_of_the_engine_and_nothing_that_may_be_something_else():
    of_any_microscope = {".tif", ".tiff", ".btf", ".tf2", ".tf8", ".ptif", ".ptiff", ".dcm", ".czi", ".vsi"}
    of_any_microscope |= {".zarr", ".ozx"}
    of_scanners = EXTENSIONS - IMAGE_EXTENSIONS - set(UNREAD) - of_any_microscope
    assert set(SLIDE_PATTERNS) == {f"*{ending}" for ending in of_scanners}


def test_two_slides_are_dropped_at_once(window, tiny_slide, generated_slide):
    (tiny_slide.parent / "both").mkdir()
    second = shutil.copy(generated_slide, tiny_slide.with_name("second.tiff"))
    with Dialogs(take_reader("SAM-MIL")):
        drop(window, tiny_slide, second)
    assert sorted(slides_of(window)) == ["second", "tiny"]


def test_a_folder_of_ome_zarr_is_dropped(window, tmp_path):
    path = write_zarr(tmp_path / "case.ome.zarr", np.full((64, 96, 3), 200, np.uint8), version="0.4")
    with Dialogs(take_reader("SAM-MIL")):
        drop(window, path)
    assert slides_of(window) == ["case"]


def test_a_project_folder_is_dropped_and_shows_its_results(window, processed):
    _, project = processed
    with Dialogs(take_reader("SAM-MIL")):
        drop(window, project)
    until(lambda: find_dock(window, "Analyze") is not None, "the dock")
    until(lambda: [layer.name for layer in window.layers] == RESULTS, "the results")
    assert find_dock(window, "Slides").title.text() == "Project project: 1 slide."


def test_a_folder_of_something_else_is_told_in_words(window, tmp_path):
    (tmp_path / "letters").mkdir()
    with pytest.raises(ProjectError, match="letters: this folder is not a project, a run or predictions"):
        window.open(str(tmp_path / "letters"), plugin="napari-sam-mil")
    assert not window.layers


def test_files_and_folders_are_opened_from_the_file_menu(window, cmu_slide, processed, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_args, **_words: ([str(cmu_slide)], ""))
    with Dialogs(take_reader("SAM-MIL")):
        choose_menu(window, "File", "Open File(s)...")
    until(lambda: slides_of(window) == ["CMU-1-Small-Region"], "the slide")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args, **_words: str(processed[1]))
    with Dialogs(take_reader("SAM-MIL")):
        choose_menu(window, "File", "Open Folder...")
    until(lambda: "finished" in slides_of(window), "the slide of the folder")


def test_both_samples_open_from_the_file_menu(window, cmu_slide, tmp_path, monkeypatch):
    from napari_sam_mil import sample_data
    from sam_mil_engine import synthetic

    real = synthetic.make_slide
    monkeypatch.setattr(sample_data, "sample_folder", lambda: tmp_path)
    monkeypatch.setattr(synthetic, "make_slide", lambda path, **words: real(path, size_px0=(1024, 768), **words))
    monkeypatch.setattr(sample_data, "fetch_cmu", lambda **_words: cmu_slide)
    choose_menu(window, "File", "Open Sample", "SAM-MIL", "Generated slide with tumour")
    until(lambda: slides_of(window) == ["generated-tumour"], "the generated slide")
    choose_menu(window, "File", "Open Sample", "SAM-MIL", "CMU-1-Small-Region (1.9 MB download)")
    until(lambda: "CMU-1-Small-Region" in slides_of(window), "the public slide")
