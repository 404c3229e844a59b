"""The worklist in the Slides dock: the next slide by key, status and note, and the place where a slide was left."""

from __future__ import annotations

import csv

import pytest
from by_hand import choose, click_row, key, pause, press, type_into, until, words_of
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_sam_mil.analysis.worklist import AGREED, STATUSES
from napari_sam_mil.layers.view import canvas_pixel_px0, middle_px0
from napari_sam_mil.session.viewer import sessions_of
from tiny_slides import write_tiny_slide

NEXT, PREVIOUS, ALT = Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier


@pytest.fixture
def project(tmp_path):
    """A project with three slides, none of them processed to its end."""
    folder = tmp_path / "study"
    folder.mkdir()
    lines = ["slide_id,path,state"]
    for name in ("a", "b", "c"):
        path = write_tiny_slide(tmp_path / f"{name}.tiff")
        lines.append(f"{name},{path},cancelled")
    (folder / "process.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def listed(make_napari_viewer, project):
    """A window with the Slides dock and the project."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Slides")
    dock.show_folder(project)
    pause()
    assert not (project / "worklist.csv").exists(), "nothing was noted yet"
    return viewer, dock


def shown(viewer):
    return [one.source.info.slide_id for one in sessions_of(viewer).all()]


def noted(project):
    with (project / "worklist.csv").open(newline="", encoding="utf-8") as file:
        return {row["slide_id"]: row for row in csv.DictReader(file)}


def place(viewer):
    where = sessions_of(viewer).current.source.place
    return (*middle_px0(viewer, where), canvas_pixel_px0(viewer, where))


@pytest.mark.parametrize("opened", ["from the list", "as a file"])
def test_slides_that_a_table_names_otherwise_than_their_files(listed, project, tmp_path, opened):
    viewer, dock = listed
    lines = (project / "process.csv").read_text(encoding="utf-8").splitlines()
    renamed = [lines[0], *(f"P-{line}" for line in lines[1:])]
    (project / "process.csv").write_text("\n".join(renamed) + "\n", encoding="utf-8")
    if opened == "as a file":
        viewer.open(str(tmp_path / "a.tiff"), plugin="napari-sam-mil")
    dock.show_folder(project)
    if opened == "from the list":
        key(viewer, NEXT, ALT)
    assert dock.table.chosen().slide_id == "P-a"
    assert not dock.beside.isEnabled(), "the selected slide is the open one"
    viewer.scene.camera.zoom *= 3
    key(viewer, NEXT, ALT)
    assert shown(viewer) == ["b"]
    assert noted(project)["P-a"]["px0_per_pixel"]


def test_keys_go_through_the_list_as_it_is_filtered_and_opened_slides_are_seen(listed, project):
    viewer, dock = listed
    key(viewer, NEXT, ALT)
    assert shown(viewer) == ["a"]
    key(viewer, NEXT, ALT)
    assert shown(viewer) == ["b"]
    assert dock.table.chosen().slide_id == "b"
    assert "2 of 3 slides seen." in words_of(dock)
    assert {name: row["status"] for name, row in noted(project).items()} == {"a": "seen", "b": "seen"}
    type_into(dock.filter, "not seen")
    QTest.keyClick(dock.table, NEXT, ALT)  # the table leaves the key to the window
    assert shown(viewer) == ["c"]
    dock.filter.clear()
    notification_manager.records.clear()
    key(viewer, NEXT, ALT)
    assert notification_manager.records[-1].message == "This is the last slide of the list."
    press(dock, "Previous")
    assert shown(viewer) == ["b"]


def test_status_and_note_are_saved_also_of_the_slide_that_is_left_by_a_key(listed, project):
    viewer, dock = listed
    assert not dock.worklist.note.isEnabled(), "no slide is selected"
    key(viewer, NEXT, ALT)
    choose(dock.worklist.status, "To discuss")
    type_into(dock.worklist.note, "=fold?")
    QTest.keyClick(dock.worklist.note, NEXT, ALT)
    assert shown(viewer) == ["b"]
    assert (noted(project)["a"]["status"], noted(project)["a"]["note"]) == ("to discuss", "'=fold?")
    assert (dock.worklist.status.currentText(), dock.worklist.note.text()) == ("Seen", "")
    click_row(dock.table, 0)
    assert (dock.worklist.status.currentText(), dock.worklist.note.text()) == ("To discuss", "=fold?")
    assert shown(viewer) == ["b"], "a click selects, it does not open"
    dock.show_folder(project)
    assert "1 to discuss" in words_of(dock)
    texts = [dock.table.item(0, column).text() for column in range(dock.table.columnCount())]
    assert texts == ["a", "to discuss", "cancelled", "=fold?"]


def test_a_slide_opens_where_it_was_left(listed, project):
    viewer, _ = listed
    key(viewer, NEXT, ALT)
    pause()
    camera = viewer.scene.camera
    camera.zoom *= 5
    camera.center = (camera.center[-2] - 20, camera.center[-1] + 30)
    left = place(viewer)
    key(viewer, NEXT, ALT)
    assert place(viewer)[2] > left[2], "the other slide is seen whole"
    key(viewer, PREVIOUS, ALT)
    assert place(viewer) == pytest.approx(left, abs=0.1)
    camera.zoom *= 1.5
    moved = place(viewer)
    until(lambda: float(noted(project)["a"]["px0_per_pixel"]) == pytest.approx(moved[2], rel=1e-4), "saved at rest")


def test_a_damaged_worklist_is_told_and_the_slides_open_all_the_same(listed, project):
    viewer, dock = listed
    (project / "worklist.csv").write_text("slide_id,status\na,perhaps\n", encoding="utf-8")
    notification_manager.records.clear()
    dock.show_folder(project)
    assert "The status 'perhaps' is not known (line 2)" in notification_manager.records[-1].message
    key(viewer, NEXT, ALT)
    assert shown(viewer) == ["a"]
    assert not dock.worklist.status.isEnabled()
    assert (project / "worklist.csv").read_text(encoding="utf-8").endswith("a,perhaps\n")


def test_a_failure_of_what_is_saved_by_itself_is_told_once(listed, project):
    viewer, dock = listed
    notification_manager.records.clear()
    project.rename(project.with_name("moved"))
    key(viewer, NEXT, ALT)
    key(viewer, NEXT, ALT)
    assert shown(viewer) == ["b"]
    told = [one.message for one in notification_manager.records]
    assert len(told) == 1, told
    assert "The folder of the worklist is gone" in told[0]
    dock.worklist.status.setCurrentIndex(STATUSES.index(AGREED))
    assert len(notification_manager.records) == 2, "what is entered by hand is told each time"
    assert dock.worklist.status.currentText() == "Not seen"
