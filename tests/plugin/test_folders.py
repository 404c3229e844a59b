"""Folders that the command line wrote, opened in a real window: a project, a RUN, predictions."""

from __future__ import annotations

import csv
import shutil

import pytest
from by_hand import Dialogs, drop, take_reader
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_sam_mil.analysis.collection import find_slide, is_collection, open_collection
from napari_sam_mil.docks import find_dock, open_dock
from napari_sam_mil.folders import get_folder_reader
from napari_sam_mil.session.viewer import sessions_of
from sam_mil_engine.errors import DataError, ProjectError
from sam_mil_engine.mil.score_files import read_scores, save_scores

LEFT = Qt.MouseButton.LeftButton
NAMES = ["finished", "tissue", "segments (tissue-regions)", "attention", "tumour probability", "evidence"]


@pytest.fixture
def study(processed, tmp_path):
    """A project as it comes from a server: the slide lies beside it, not where it was recorded."""
    slide, project = processed
    shutil.copytree(project, tmp_path / "study")
    (tmp_path / "slides").mkdir()
    shutil.copy(slide, tmp_path / "slides" / slide.name)
    table = tmp_path / "study" / "process.csv"
    table.write_text(table.read_text().replace(str(slide.parent), "/nowhere"))
    return tmp_path / "study"


@pytest.fixture
def run(study, run_folder):
    """A RUN in the project: its model predicted the slide wrongly."""
    folder = study / "runs" / "first"
    shutil.copytree(run_folder, folder / "fold-0-0")
    (folder / "metrics.json").write_text('{"mean": {"ece": 0.125}}')
    rows = [
        {"slide_id": "finished", "label": "normal", "repeat": 0, "fold": 0, "p_normal": 0.1, "p_tumour": 0.9},
        {"slide_id": "other", "label": "tumour", "repeat": 0, "fold": 0, "p_normal": 0.2, "p_tumour": 0.8},
    ]
    with (folder / "predictions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "predicted"])
        writer.writeheader()
        writer.writerows([{**row, "predicted": "tumour"} for row in rows])
    return folder


def wait_for_results(qtbot, viewer):
    qtbot.waitUntil(lambda: find_dock(viewer, "Analyze") is not None)
    dock = find_dock(viewer, "Analyze")
    qtbot.waitUntil(lambda: dock.result_card.isVisibleTo(dock))
    return dock


def text_of(card):
    return " ".join(label.text() for label in card.findChildren(type(card.heading)))


def test_a_project_shows_its_slide_with_all_layers_and_lists_its_slides(qtbot, make_napari_viewer, study):
    viewer = make_napari_viewer(show=True)
    viewer.open(str(study), plugin="napari-sam-mil")
    qtbot.waitUntil(lambda: find_dock(viewer, "Analyze") is not None)
    dock = find_dock(viewer, "Analyze")
    qtbot.waitUntil(lambda: "Not classified" in dock.progress_card.heading.text())
    assert [layer.name for layer in viewer.layers] == NAMES[:3], "no bundled classifier knows patches of 128 px"
    assert "expects patch size 224" in dock.progress_card.heading.text()
    assert dock.choices_card.choices().project == study
    slides = find_dock(viewer, "Slides")
    assert slides.title.text() == "Project study: 1 slide."
    assert not (study / "superseded").exists(), "nothing was computed again"


def test_a_run_is_dropped_into_the_image(qtbot, make_napari_viewer, run):
    viewer = make_napari_viewer(show=True)
    with Dialogs(take_reader("SAM-MIL")):
        drop(viewer, run)
    dock = wait_for_results(qtbot, viewer)
    assert [layer.name for layer in viewer.layers] == NAMES
    assert dock.choices_card.choices().classifier == str(run / "fold-0-0")
    qtbot.wait(500)  # napari works off what it put off; a window that goes before makes it warn


def test_a_run_shows_what_its_own_model_says_and_lists_wrong_predictions(qtbot, make_napari_viewer, run):
    viewer = make_napari_viewer(show=True)
    viewer.open(str(run), plugin="napari-sam-mil")
    dock = wait_for_results(qtbot, viewer)
    assert [layer.name for layer in viewer.layers] == NAMES
    assert dock.choices_card.choices().classifier == str(run / "fold-0-0")
    assert "off by 0.12 on average (calibration error)" in text_of(dock.result_card)
    slides = open_dock(viewer, "Slides")
    assert "1 of 2 predictions are correct" in slides.title.text()
    qtbot.mouseClick(slides.wrong, LEFT, pos=slides.wrong.rect().center() - slides.wrong.rect().bottomLeft() / 2)
    slides.wrong.setChecked(True)
    shown = [row for row in range(slides.table.rowCount()) if not slides.table.isRowHidden(row)]
    assert [slides.table.item(row, 0).text() for row in shown] == ["finished"]


def test_a_click_in_the_list_opens_and_a_missing_slide_says_where_to_put_it(
    qtbot, make_napari_viewer, run, monkeypatch
):
    viewer = make_napari_viewer(show=True)
    slides = open_dock(viewer, "Slides")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(run))
    qtbot.mouseClick(slides.folder, LEFT)
    assert slides.table.rowCount() == 2
    qtbot.keyClicks(slides.filter, "other")
    row = next(row for row in range(2) if not slides.table.isRowHidden(row))
    qtbot.mouseClick(
        slides.table.viewport(), LEFT, pos=slides.table.visualItemRect(slides.table.item(row, 0)).center()
    )
    notification_manager.records.clear()
    qtbot.mouseClick(slides.open, LEFT)
    assert "was not found" in notification_manager.records[-1].message
    assert "Put the file into a folder" in notification_manager.records[-1].message
    slides.filter.clear()
    qtbot.keyClicks(slides.filter, "finished")
    row = next(row for row in range(2) if not slides.table.isRowHidden(row))
    place = slides.table.visualItemRect(slides.table.item(row, 0)).center()
    qtbot.mouseClick(slides.table.viewport(), LEFT, pos=place)
    qtbot.keyClick(slides.table, Qt.Key.Key_Return)
    assert [one.source.info.slide_id for one in sessions_of(viewer).all()] == ["finished"]
    slides.open_chosen()
    assert len(sessions_of(viewer).all()) == 1, "a slide that is open is not opened twice"


def test_predictions_are_shown_as_they_were_written(qtbot, make_napari_viewer, analysed, study, tmp_path):
    _, session = analysed
    out = tmp_path / "predicted"
    scores = session.analysis.scores
    save_scores(scores, out)
    (out / "predictions.csv").write_text("slide_id,p_normal,p_tumour,predicted\nfinished,0.3,0.7,tumour\n")
    viewer = make_napari_viewer(show=True)
    viewer.open(str(out), plugin="napari-sam-mil")
    wait_for_results(qtbot, viewer)
    shown = sessions_of(viewer).current.analysis
    assert shown.model is None, "no classifier was needed"
    assert shown.scores.probabilities.tolist() == read_scores(out / "finished.json").probabilities.tolist()


def test_the_project_beside_counts_before_those_further_off(study, tmp_path):
    for name in ("other", "third"):
        (tmp_path.parent / f"{tmp_path.name}-{name}").mkdir()
        (tmp_path.parent / f"{tmp_path.name}-{name}" / "process.csv").write_text("slide_id\n")
    out = tmp_path / "predicted"
    out.mkdir()
    (out / "predictions.csv").write_text("slide_id,p_normal,p_tumour,predicted\nfinished,0.3,0.7,tumour\n")
    assert open_collection(out).project == study


def test_opening_a_slide_again_shows_its_results_at_once(qtbot, open_dock, processed, run_folder):
    slide, project = processed
    viewer, dock = open_dock()
    dock.choices_card.set_project(project)
    viewer.open(str(slide), plugin="napari-sam-mil")
    qtbot.waitUntil(lambda: dock.result_card.isVisibleTo(dock))
    assert [layer.name for layer in viewer.layers] == NAMES
    assert dock.job is None, "nobody pressed the button"


def test_a_folder_of_something_else_is_refused_with_the_reason(tmp_path):
    assert not is_collection(tmp_path)
    with pytest.raises(ProjectError, match="not a project, a run"):
        open_collection(tmp_path)
    assert get_folder_reader(str(tmp_path / "predictions.csv")) is None
    assert get_folder_reader([str(tmp_path), str(tmp_path)]) is None


def test_a_slide_is_found_where_it_was_and_beside_the_project(study):
    (entry,) = open_collection(study).entries
    assert not entry.path.is_file()
    assert find_slide(entry, [study]) == study.parent / "slides" / "finished.tif"
    assert find_slide(entry, []) is None


def test_tables_that_a_spreadsheet_has_saved_are_read(tmp_path):
    (tmp_path / "process.csv").write_text(
        "slide_id;path;state;tiles;seconds_tissue\n007;/s/007.svs;done;12,0;1,250\n", encoding="utf-8-sig"
    )
    (entry,) = open_collection(tmp_path).entries
    assert (entry.slide_id, entry.state, entry.patches) == ("007", "done", 12)
    out = tmp_path / "predicted"
    out.mkdir()
    rows = "slide_id;p_normal;p_tumour;predicted;error\n007;0,25;0,75;tumour;\n008;;;;no bag\n"
    (out / "predictions.csv").write_text(rows, encoding="utf-8-sig")
    first, second = open_collection(out).entries
    assert (first.slide_id, first.probability, first.predicted, first.state) == ("007", 0.75, "tumour", "done")
    assert (second.probability, second.predicted, second.error) == (None, "", "no bag")
    (out / "predictions.csv").write_bytes(b"\x89PNG\xff\x00")
    with pytest.raises(DataError, match="not a readable CSV table"):
        open_collection(out)
