"""docs/first-slide.md, walked by clicks and keys in a real window, while slides load in the background."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from by_hand import (
    CTRL,
    Dialogs,
    button,
    canvas,
    choose,
    choose_menu,
    click,
    click_row,
    drop,
    field,
    give_path,
    key,
    pause,
    place_of,
    press,
    take_reader,
    turn_wheel,
    type_into,
    until,
    words_of,
)
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from scipy.ndimage import distance_transform_edt

from napari_sam_mil import preferences, sample_data
from napari_sam_mil.analysis.hit_testing import segments_at
from napari_sam_mil.analysis.placement import points_to_world, world_to_points
from napari_sam_mil.docks import find_dock
from napari_sam_mil.session.viewer import sessions_of
from sam_mil_engine import synthetic

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


class Walk:
    """The window, and what the walk-through calls by its name."""

    def __init__(self, viewer, folder):
        self.viewer, self.folder = viewer, folder

    @property
    def session(self):
        return sessions_of(self.viewer).current

    def menu(self, *path):
        choose_menu(self.viewer, *path)
        pause(0.1)

    def dock(self, name):
        self.menu("Plugins", "SAM-MIL", f"{name} (SAM-MIL)")
        dock = find_dock(self.viewer, name)
        until(lambda: not dock.visibleRegion().isEmpty(), f"the dock {name}")
        return dock

    def layers(self):
        return [layer.name for layer in self.viewer.layers]

    def middle_of(self, number):
        """A place in the image that lies well within a segment (from 0), and its level-0 pixels."""
        segments = self.session.analysis.processed.segments
        inside = distance_transform_edt(np.pad(segments.mask(number), 1))[1:-1, 1:-1]
        row, column = np.unravel_index(inside.argmax(), inside.shape)
        world = points_to_world(segments.frame.to_px0([(column + 0.5, row + 0.5)]), self.session.source.mpp)[0]
        return place_of(self.viewer, world), world_to_points([world], self.session.source.mpp)[0]


@pytest.fixture
def walk(make_napari_viewer, in_background, tmp_path, monkeypatch):
    """napari as it starts on a computer that has never seen the plugin; the sample is smaller than the real one."""
    real = synthetic.make_slide
    monkeypatch.setattr(sample_data, "sample_folder", lambda: tmp_path / "samples")
    monkeypatch.setattr(synthetic, "make_slide", lambda path, **words: real(path, size_px0=(2048, 1536), **words))
    preferences.save_preferences(preferences.Preferences(project=str(tmp_path / "project")))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    return Walk(viewer, tmp_path)


@pytest.mark.slow
def test_the_walk_through(walk):
    open_the_sample(walk)
    analyze(walk)
    only_a_part(walk)
    the_groups(walk)
    compare_with_outlines(walk)
    change_segments(walk)
    a_figure(walk)
    what_the_command_line_made(walk)
    preferences_and_keys(walk)
    assert get_settings().experimental.async_, "all of it while slides load in the background"


def open_the_sample(walk):
    """1. Open."""
    notification_manager.records.clear()
    walk.menu("File", "Open Sample", "SAM-MIL", "Generated slide with tumour")
    until(lambda: walk.layers() == ["generated-tumour"], "the slide")
    assert "now load in the background" in notification_manager.records[-1].message
    dock = walk.dock("Analyze")
    said = words_of(dock.slide_card).replace("&nbsp;", " ").replace("\u202f", " ")
    assert "generated-tumour" in said
    assert "2 048 × 1 536 px" in said
    assert "0.5 µm/px" in said
    window = walk.viewer.window._qt_window
    key(walk.viewer, Qt.Key.Key_P, CTRL | Qt.KeyboardModifier.ShiftModifier)
    palette = window._command_palette
    if not palette.isVisible():  # menu keys need a window manager, which a bare display lacks
        walk.viewer.window._toggle_command_palette()
    QTest.keyClicks(palette._line, "sam-mil")
    assert len(list(palette._list.iter_command())) > 30
    QTest.keyClick(palette._line, Qt.Key.Key_Escape)


def analyze(walk):
    """2. Analyze."""
    dock = find_dock(walk.viewer, "Analyze")
    key(walk.viewer, Qt.Key.Key_Return, CTRL)
    assert dock.job is not None
    seen = set()
    dock.job.progressed.connect(lambda _progress: seen.add(words_of(dock.progress_card)))
    until(lambda: dock.job is None, "the result")
    assert any("Features: " in words and " of " in words for words in seen), "stage and how far it is"
    assert walk.layers()[1:] == ["tissue", "segments (regions)", "attention", "tumour probability", "evidence"]
    pause()
    assert "Probability of tumour: " in words_of(dock.result_card)
    assert ", threshold 0.50" in words_of(dock.result_card)
    press(dock, "Model card…")
    until(lambda: _card() is not None, "the card")
    press(_card(), "Close")
    assert walk.viewer.layers.selection.active is walk.session.layers["segments"]
    walk.viewer.reset_view()
    pause()
    place, px0 = walk.middle_of(0)
    top = segments_at(walk.session.analysis.processed.segments, *px0)[0] + 1

    def told():
        # again and again: tests beside this one share the display, and its pointer comes along with their windows
        QTest.mouseMove(canvas(walk.viewer), place - QPoint(2, 2))
        QTest.mouseMove(canvas(walk.viewer), place)
        return _status(walk).partition(": ")[2].startswith(f"{top}; area (µm²): ")

    until(told, "the words of the segment")


def _card():
    return next((one for one in QApplication.topLevelWidgets() if one.objectName() == "samMilModelCard"), None)


def _status(walk):
    walk.viewer.mouse_over_canvas = True
    # napari's tests run without the thread that keeps the status up to date
    walk.viewer.update_status_from_cursor()
    status = walk.viewer.status
    return status if isinstance(status, str) else status["coordinates"]


def only_a_part(walk):
    """3. Only a part."""
    dock, before = find_dock(walk.viewer, "Analyze"), walk.session.analysis
    turn_wheel(walk.viewer, canvas(walk.viewer).rect().center() + QPoint(60, 0), 6)
    choose(field(dock, "Analyze"), "Current view")
    press(dock, "Segment/Classify")
    until(lambda: dock.job is None, "the part")
    assert "those of a region" in dock.region_card.facts.text()
    choose(field(dock, "Analyze"), "Whole slide")
    press(dock, "Segment/Classify")
    until(lambda: dock.job is None, "the whole slide")
    assert len(walk.session.analysis.processed.reused) == 5
    assert walk.session.analysis.scores.probabilities.tolist() == before.scores.probabilities.tolist()
    zoomed = walk.viewer.scene.camera.zoom
    key(walk.viewer, Qt.Key.Key_R, CTRL)
    assert walk.viewer.scene.camera.zoom < zoomed / 2


def the_groups(walk):
    """4. The groups."""
    dock = walk.dock("Segments")
    count = len(walk.session.analysis.processed.segments)
    assert dock.model.rowCount() == count
    click_row(dock.table, 0)
    assert "Without segment " in dock.without.text()
    walk.viewer.reset_view()
    pause()
    place, px0 = walk.middle_of(0)
    there = [number + 1 for number in segments_at(walk.session.analysis.processed.segments, *px0)]
    dock.table.clearSelection()
    for number in (there * 2)[:2]:
        QTest.mouseClick(canvas(walk.viewer), LEFT, NONE, place)
        until(lambda number=number: _chosen(dock) == [number], f"segment {number} chosen in the table")
    type_into(dock.filter, "probability > 0.5")
    shown = dock.model.rowCount()
    assert 0 < shown < count
    saved = walk.folder / "groups.csv"
    with Dialogs(give_path(saved)):
        press(dock, "Save as CSV…")
    with saved.open(newline="", encoding="utf-8") as file:
        assert all(float(row["probability"]) > 0.5 for row in csv.DictReader(file))
    with Dialogs(give_path(saved.with_suffix(".geojson"))):
        press(dock, "Save as GeoJSON…")
    assert len(json.loads(saved.with_suffix(".geojson").read_text())["features"]) == shown


def _chosen(dock):
    return [int(one.data()) for one in dock.table.selectionModel().selectedRows(0)]


def compare_with_outlines(walk):
    """5. Compare with outlines."""
    dock, session = walk.dock("Annotations"), walk.session
    with Dialogs(give_path(walk.folder / "samples" / "generated-tumour.geojson")):
        press(dock, "Load…")
    until(lambda: session.agreement is not None, "the agreement")
    assert "purity" in session.table()
    choose(field(dock, "Colour segments by"), "Purity")
    assert session.colour_by == "purity"
    pause()
    click(button(dock, "Patches above the threshold"))
    above = session.layers["above"]
    until(lambda: above.loaded, "the patches")
    before = int((above.data > 0).sum())
    key(walk.viewer, Qt.Key.Key_6, CTRL)
    assert "above" not in session.layers
    key(walk.viewer, Qt.Key.Key_6, CTRL)
    dock.figure.slider.setFocus()
    QTest.keyClick(dock.figure.slider, Qt.Key.Key_Home)
    assert int((session.layers["above"].data > 0).sum()) > before
    press(dock, "Compare two classifiers…")
    until(lambda: dock.comparison_dock is not None, "the second window")
    beside = dock.comparison_dock
    assert beside.models[0].currentText().startswith("SAM-MIL")
    assert beside._viewer.canvas.grid.enabled
    until(lambda: all(layer.loaded for layer in beside._viewer.layers), "both images")
    beside._viewer.close()
    pause()
    walk.viewer.window._qt_window.activateWindow()
    click(button(dock, "Patches above the threshold"))


def change_segments(walk):
    """6. Change segments."""
    dock, session = walk.dock("Prompts"), walk.session
    rows, count = dock.segments.list, len(session.analysis.processed.segments)
    press(dock, "+ Point")
    click(canvas(walk.viewer), walk.middle_of(0)[0])
    until(lambda: "candidate" in walk.layers(), "SAM's answer")
    press(dock, "Accept")
    until(lambda: len(session.analysis.processed.segments) == count + 1, "the new segment")
    for row, keys in ((0, NONE), (1, CTRL)):
        click(rows.viewport(), rows.visualItemRect(rows.item(row)).center(), keys)
    press(dock, "Merge")
    until(lambda: len(session.analysis.processed.segments) == count, "the merged segments")
    assert len(find_dock(walk.viewer, "Segments").model.keep) == count
    press(dock, "Save edits to the project")
    until(lambda: "superseded/" in words_of(dock.segments), "the edits saved")
    assert list((walk.folder / "project" / "superseded").iterdir())


def a_figure(walk):
    """7. A figure."""
    dock = walk.dock("Figure")
    type_into(field(dock, "Width").lineEdit(), "85")
    type_into(field(dock, "Resolution").lineEdit(), "100")
    for name, begins in (("figure.png", b"\x89PNG"), ("figure.pdf", b"%PDF")):
        with Dialogs(give_path(walk.folder / name)):
            press(dock, "Save figure…")
        until(lambda: not dock.jobs.busy, "the figure")
        assert (walk.folder / name).read_bytes().startswith(begins)


def what_the_command_line_made(walk):
    """8. What the command line made: here the project of this walk, opened from nothing."""
    results = walk.layers()[:6]
    for layer in list(walk.viewer.layers):
        walk.viewer.layers.remove(layer)
    with Dialogs(take_reader("SAM-MIL")):
        drop(walk.viewer, walk.folder / "project")
    until(lambda: walk.layers() == results, "the slide and its results")
    analyze = find_dock(walk.viewer, "Analyze")
    until(lambda: not analyze.visibleRegion().isEmpty(), "the dock that tells of the slide")
    pause(0.5)  # Qt moves docks slowly
    dock = walk.dock("Slides")
    assert dock.title.text() == "Project project: 1 slide."
    place = dock.table.visualItemRect(dock.table.item(0, 0)).center()
    QTest.mouseDClick(dock.table.viewport(), LEFT, NONE, place)
    assert walk.layers() == results, "it was open"


def preferences_and_keys(walk):
    """9. Preferences and keys."""
    dock = walk.dock("Preferences and keys")
    said = words_of(dock)
    for keys in ("Ctrl+Enter", "Ctrl+.", "Ctrl+6", "Ctrl+R", "Ctrl+Shift+P"):
        assert keys in said
    assert dock.path.text() == str(walk.folder / "project")
