"""Outlines in the window: many of them, what was left out, accidental clicks, dropped files, removed layers."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import shapely
from by_hand import Dialogs, click, drop, pause, type_into, until
from napari.layers import Labels, Shapes
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialog, QPlainTextEdit

from napari_sam_mil import writer
from napari_sam_mil.analysis import agreement
from napari_sam_mil.analysis.placement import points_to_world
from napari_sam_mil.annotation_reader import get_annotation_reader
from napari_sam_mil.docks import find_dock, open_dock
from napari_sam_mil.layers.annotations import MOST_SHAPES
from napari_sam_mil.session import annotations as outlined
from napari_sam_mil.session.viewer import sessions_of
from napari_sam_mil.widgets.analyze.region import SHAPE, chosen_region
from sam_mil_engine.annotations.compare import compare_groups
from sam_mil_engine.annotations.geojson import write_geojson
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.annotations.reading import read_annotations

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def cells(count=MOST_SHAPES + 60):
    rng = np.random.default_rng(5)
    places = rng.uniform((20, 20), (1000, 740), (count, 2))
    return [
        Annotation(f"cell {n}", "Tumor" if n % 3 else "Stroma", shapely.Point(place).buffer(6, quad_segs=3))
        for n, place in enumerate(places)
    ]


@pytest.fixture
def cells_file(tmp_path):
    return write_geojson(tmp_path / "cells.geojson", cells(), info=None)


@pytest.fixture
def dock(analysed):
    """The Annotations dock of an analysed slide, without outlines."""
    viewer, _ = analysed
    return open_dock(viewer, "Annotations")


def loaded(dock, path):
    dock.load(path)
    until(lambda: not dock.jobs.busy and not dock._timer.isActive(), "loading")
    until(lambda: dock._sessions.current.agreement is not None, "comparing")


def test_many_outlines_are_a_image_and_compared_as_the_engine_does(analysed, dock, cells_file):
    viewer, session = analysed
    loaded(dock, cells_file)
    layer = session.layers["outlines"]
    assert isinstance(layer, Labels)
    assert not layer.editable
    assert "annotations" not in session.layers
    tumour = [
        one for one in read_annotations(cells_file, info=session.source.info) if one.classification == "Tumor"
    ]
    processed, scores = session.analysis.processed, session.analysis.scores
    expected = compare_groups(
        processed.segments, tumour, scores=scores, patch_size_px0=processed.grid.size_px0, positive="tumour"
    )
    np.testing.assert_allclose(session.agreement.by_class["Tumor"].iou, expected.iou)
    x, y = tumour[0].polygon.centroid.coords[0]
    words = layer.get_status(tuple(points_to_world([(x, y)], session.source.mpp)[0]), world=True)["value"]
    assert "class: Tumor" in words
    assert f"name: {tumour[0].name}" in words
    viewer.layers.selection.active = layer
    assert sessions_of(viewer).current is session


def test_some_of_them_are_edited_and_all_are_saved(analysed, dock, cells_file, tmp_path):
    _, session = analysed
    loaded(dock, cells_file)
    assert dock.outlines.many.isVisible()
    box = dock.outlines.which
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_End)
    until(lambda: box.currentData() == "Tumor" or QTest.keyClick(box, Qt.Key.Key_Up), "the class")
    click(dock.outlines.edit)
    until(lambda: not dock.jobs.busy, "editing")
    assert "annotations" in session.layers
    shapes = session.layers["annotations"]
    assert isinstance(shapes, Shapes)
    shapes.selected_data = {0}
    shapes.remove_selected()
    dock.save_outlines(tmp_path / "saved.geojson")
    saved = read_annotations(tmp_path / "saved.geojson", info=session.source.info)
    assert sorted(one.name for one in saved) == sorted(one.name for one in cells() if one.name != "cell 1")
    path = tmp_path / "layer.geojson"
    session.layers["outlines"].save(str(path), plugin="napari-sam-mil")
    assert {one.classification for one in read_annotations(path, info=session.source.info)} == {"Stroma"}


def test_nothing_slow_is_done_in_the_thread_of_the_window(analysed, dock, cells_file, monkeypatch, tmp_path):
    threads = {}

    def watched(module, name):
        function = getattr(module, name)

        def call(*args, **options):
            threads.setdefault(name, set()).add(threading.current_thread())
            return function(*args, **options)

        monkeypatch.setattr(module, name, call)

    watched(agreement, "_overlaps")
    watched(outlined, "outline_image_layer")
    watched(outlined, "shape_annotations")
    watched(writer, "write_segments_geojson")
    watched(writer, "shape_annotations")
    viewer, session = analysed
    loaded(dock, cells_file)
    dock.save_outlines(tmp_path / "outlines.geojson")
    open_dock(viewer, "Segments").save(tmp_path / "groups.geojson")
    session.layers["tissue"].save(str(tmp_path / "tissue.geojson"), plugin="napari-sam-mil")
    session.layers["segments"].save(str(tmp_path / "segments.geojson"), plugin="napari-sam-mil")
    assert set(threads) == {
        "_overlaps",
        "outline_image_layer",
        "shape_annotations",
        "write_segments_geojson",
    }
    assert not any(threading.main_thread() in used for used in threads.values())


def test_a_layer_that_is_removed_takes_its_comparison_along(qtbot, analysed, annotations_dock):
    viewer, session = analysed
    groups = open_dock(viewer, "Segments")
    assert "IoU" in groups.model.columns
    viewer.layers.remove(session.layers["annotations"])
    assert session.agreement is None
    qtbot.waitUntil(lambda: "IoU" not in groups.model.columns)
    for column in ("IoU", "purity", "recall"):
        assert column not in groups.model.columns
        assert column not in session.layers["segments"].features
    assert not annotations_dock.agreement.metrics()
    assert "lie inside the outlines" not in annotations_dock.figure.facts.text()
    pause(1)
    assert session.agreement is None, "and it is not compared again"


def test_a_comparison_that_was_under_way_when_its_layer_went_is_not_kept(analysed, dock, cells_file, monkeypatch):
    viewer, session = analysed
    loaded(dock, cells_file)
    go_on, real = threading.Event(), agreement.compare_with_outlines

    def slow(*args, **options):
        go_on.wait(60)
        return real(*args, **options)

    monkeypatch.setattr("napari_sam_mil.widgets.annotations.dock.compare_with_outlines", slow)
    dock.compare()
    viewer.layers.remove(session.layers["outlines"])
    go_on.set()
    until(lambda: not dock.jobs.busy, "comparing")
    assert session.agreement is None


def test_a_slide_that_is_closed_while_its_outlines_load_ends_quietly(analysed, dock, cells_file, monkeypatch):
    viewer, session = analysed
    go_on, real = threading.Event(), agreement.load_outlines

    def slow(*args, **options):
        go_on.wait(60)
        return real(*args, **options)

    monkeypatch.setattr("napari_sam_mil.widgets.annotations.dock.load_outlines", slow)
    notification_manager.records.clear()
    dock.load(cells_file)
    viewer.layers.remove(session.layer)
    go_on.set()
    until(lambda: not dock.jobs.busy, "loading")
    assert "outlines" not in [layer.name for layer in viewer.layers]
    assert not notification_manager.records


def test_a_moved_layer_is_compared_where_it_is(analysed, annotations_dock):
    _, session = analysed
    before = session.agreement.comparison.iou.max()
    session.layers["annotations"].translate = (5000, 5000)
    until(lambda: session.agreement is not None and session.agreement.comparison.iou.max() < before, "comparing")
    assert session.agreement.comparison.iou.max() == 0


def test_a_shape_of_a_moved_layer_is_the_region_where_it_is_seen(analysed):
    viewer, session = analysed
    layer = viewer.add_shapes([np.array([(0, 0), (0, 50), (50, 50), (50, 0)], float)], shape_type="polygon")
    layer.translate, layer.scale = (40, 60), (2, 2)
    layer.selected_data = {0}
    (ring,) = chosen_region(SHAPE, viewer, session.source)
    expected = (np.array([(60, 40), (160, 140)]) / 0.5) + 0.5
    np.testing.assert_allclose([np.min(ring, axis=0), np.max(ring, axis=0)], expected, atol=0.01)


def test_an_accidental_click_leaves_every_class_with_its_outline(analysed, dock):
    viewer, session = analysed
    click(dock.outlines.draw)
    layer, canvas = session.layers["annotations"], viewer.window._qt_viewer.canvas.native
    pause(0.3)
    middle = canvas.rect().center()

    def lasso(left, top):
        corners = [middle + QPoint(left + x, top + y) for x, y in ((0, 0), (70, 0), (70, 70), (0, 70), (0, 8))]
        QTest.mousePress(canvas, LEFT, NONE, corners[0])
        for corner in corners[1:]:
            QTest.mouseMove(canvas, corner)
            pause(0.05)
        QTest.mouseRelease(canvas, LEFT, NONE, corners[-1])

    lasso(-150, -80)
    until(lambda: len(layer.data) == 1, "the first outline")
    for _ in range(2):  # begins a lasso, and ends it without an area
        QTest.mouseClick(canvas, LEFT, NONE, middle)
        pause(0.3)
    type_into(dock.outlines._class, "Stroma")
    QTest.keyClick(dock.outlines._class, Qt.Key.Key_Return)
    lasso(40, 20)
    until(lambda: len(layer.data) == 2, "the second outline")
    assert list(layer.features["class"]) == ["Tumour", "Stroma"]
    first, second = dock._annotations(session)
    assert (first.classification, second.classification) == ("Tumour", "Stroma")
    assert first.polygon.centroid.x < second.polygon.centroid.x


def test_what_was_left_out_and_repaired_is_said_and_named_on_a_click(dock, tmp_path):
    def feature(kind, coordinates, name):
        return {
            "type": "Feature",
            "geometry": {"type": kind, "coordinates": coordinates},
            "properties": {"name": name, "classification": {"name": "Tumor"}},
        }

    square = [[100, 100], [500, 100], [500, 500], [100, 500], [100, 100]]
    bow = [[600, 100], [700, 300], [700, 100], [600, 300], [600, 100]]
    lines = [feature("LineString", [[0, 0], [i, 9]], f"line {i}") for i in range(1, 13)]
    path = tmp_path / "mixed.geojson"
    path.write_text(json.dumps([feature("Polygon", [square], "a"), feature("Polygon", [bow], "bow"), *lines]))
    loaded(dock, path)
    said = dock.outlines._said.text()
    assert said.startswith("Loaded from mixed.geojson. 12 shapes were left out (12 × LineString)")
    assert said.endswith("and 1 outline was repaired.")
    click(dock.outlines.details)
    (dialog,) = [one for one in QApplication.topLevelWidgets() if isinstance(one, QDialog) and one.isVisible()]
    text = dialog.findChild(QPlainTextEdit).toPlainText()
    assert all(f"line {i}" in text for i in range(1, 13))
    assert "bow" in text
    dialog.reject()


def test_outlines_of_other_planes_are_named_and_a_file_of_another_plane_is_shown(dock, tmp_path):
    square = [[100, 100], [500, 100], [500, 500], [100, 500], [100, 100]]

    def put(name, *planes):
        shapes = [
            {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [square], "plane": {"z": z, "t": 0}}}
            for z in planes
        ]
        (tmp_path / name).write_text(json.dumps(shapes))
        return tmp_path / name

    loaded(dock, put("several.geojson", 0, 3))
    assert "1 × shape on plane z=3, t=0" in dock.outlines._said.text()
    loaded(dock, put("deep.geojson", 3))
    assert dock.outlines._said.text() == "Loaded from deep.geojson. The outlines lie on plane z=3, t=0."
    assert len(dock._annotations(dock._sessions.current)) == 1


def test_a_file_is_dropped_and_added_to_what_was_drawn(analysed, annotations_dock, tmp_path):
    viewer, session = analysed
    before = annotations_dock._annotations(session)
    info = session.source.info
    for name in ("one", "two"):
        write_geojson(
            tmp_path / f"{name}.geojson", [Annotation(name, "Stroma", shapely.box(9, 9, 99, 99))], info=info
        )
    with Dialogs():
        drop(viewer, tmp_path / "one.geojson", tmp_path / "two.geojson")
    until(lambda: len(annotations_dock._annotations(session)) == len(before) + 2, "the outlines")
    found = annotations_dock._annotations(session)
    assert [one.name for one in found[: len(before)]] == [one.name for one in before]
    assert {one.name for one in found[len(before) :]} == {"one", "two"}
    assert found[-1].polygon.equals(shapely.box(9, 9, 99, 99))


def test_a_dropped_file_without_a_slide_says_what_to_do(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer(show=True)
    path = write_geojson(tmp_path / "one.geojson", cells(2), info=None)
    notification_manager.records.clear()
    with Dialogs():
        drop(viewer, path)
    (told,) = notification_manager.records
    assert (
        "No slide is open to which the outlines could be added (one.geojson). Open the slide first" in told.message
    )
    assert find_dock(viewer, "Annotations") is None
    assert not viewer.layers


FILES = {
    "a.geojson": (True, "{}"),
    "a.json": (True, '{"type": "FeatureCollection", "features": []}'),
    "b.json": (True, '{"positive": [], "negative": []}'),
    "c.json": (True, '{"annotation": {"elements": [{"type": "polyline", "points": [[0, 0, 0]], "closed": true}]}}'),
    "d.json": (False, '{"elements": [{"type": "node", "id": 1}]}'),
    "e.json": (False, "[]"),
    "f.json": (False, '{"name": "package", "version": 1}'),
    "g.json": (False, "not json"),
    "a.xml": (True, '<?xml version="1.0"?><ASAP_Annotations></ASAP_Annotations>'),
    "b.xml": (True, '<annotations><ndpviewstate id="1"/></annotations>'),
    "c.xml": (False, "<svg></svg>"),
    "a.annotations": (True, "<Annotations/>"),
    "a.ndpi.ndpa": (True, "<annotations/>"),
    "a.txt": (False, '{"type": "FeatureCollection", "features": []}'),
}


@pytest.mark.parametrize("name", FILES)
def test_only_outlines_are_claimed(tmp_path, name):
    claimed, text = FILES[name]
    (tmp_path / name).write_text(text)
    assert (get_annotation_reader(str(tmp_path / name)) is not None) == claimed


def test_a_long_json_is_known_by_its_beginning(tmp_path):
    path = write_geojson(tmp_path / "long.geojson", cells(2000), info=None).rename(tmp_path / "long.json")
    assert get_annotation_reader(str(path)) is not None
    path.write_text(json.dumps([{"number": n, "text": "long"} for n in range(20_000)]))
    assert get_annotation_reader(str(path)) is None
