"""The Annotations dock, driven by clicks on a generated slide whose outlines are known."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from by_hand import headings, texts
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog

from sam_mil_engine.annotations.compare import compare_groups
from sam_mil_engine.annotations.model import union_px0
from sam_mil_engine.annotations.reading import read_annotations
from sam_mil_engine.slide.place import SlidePlace

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def outlined(analysed, processed, annotations_dock):
    """An analysed slide with its outlines loaded by clicks; also the outlines."""
    return *analysed, annotations_dock, read_annotations(processed[0].with_suffix(".geojson"), info=SlidePlace())


def pick(qtbot, box, text):
    """Choose an entry of a combo box with the keyboard."""
    box.setFocus()
    place = box.findText(text)
    qtbot.keyClick(box, Qt.Key.Key_Home)
    for _ in range(box.count()):
        if box.currentIndex() == place:
            return
        qtbot.keyClick(box, Qt.Key.Key_Down)
    raise AssertionError(f"{text!r} cannot be chosen")


def test_loading_shows_blue_outlines_and_the_figures_of_the_engine(outlined):
    viewer, session, dock, annotations = outlined
    layer = viewer.layers["annotations"]
    assert len(layer.data) == len(annotations)
    extent = np.asarray(layer.extent.world)[:, ::-1] / 0.5 + 0.5
    np.testing.assert_allclose(extent.ravel(), union_px0(annotations).bounds, atol=1e-6)
    processed, scores = session.analysis.processed, session.analysis.scores
    expected = compare_groups(
        processed.segments, annotations, scores=scores, patch_size_px0=processed.grid.size_px0, positive="tumour"
    )
    shown = dock.agreement.metrics()
    assert shown["IoU"] == f"{expected.cover.iou:.2f}"
    assert shown["Patch AUC, probability"] == f"{expected.patches.probability_auc:.3f}"
    assert shown["Patch AUC, attention"] == f"{expected.patches.attention_auc:.3f}"
    features = viewer.layers["segments (tissue-regions)"].features
    np.testing.assert_allclose(features["purity"], expected.purity, atol=1e-4)


def test_the_groups_table_gains_the_columns(outlined):
    viewer, session, _, _ = outlined
    _, groups = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Segments")
    names = headings(groups.table)
    assert names[2:6] == ["purity", "recall", "IoU", "in best set"]
    purity = texts(groups.table, 2)
    assert sorted(map(float, purity)) == pytest.approx(
        sorted(session.agreement.comparison.purity), rel=1e-3, abs=1e-4
    )


def test_segments_are_coloured_by_agreement(qtbot, outlined):
    viewer, session, dock, _ = outlined
    layer = viewer.layers["segments (tissue-regions)"]
    before = np.array([layer.get_color(number) for number in (1, 2)])
    pick(qtbot, dock.agreement.colours, "Purity")
    assert session.colour_by == "purity"
    assert layer.contour == 0
    assert not np.allclose(before, [layer.get_color(number) for number in (1, 2)])
    pick(qtbot, dock.agreement.colours, "Individual colours")
    np.testing.assert_allclose([layer.get_color(number) for number in (1, 2)], before)


def test_figure_6_by_one_click_and_a_slider(qtbot, outlined):
    viewer, session, dock, _ = outlined
    card = dock.figure
    assert viewer.layers["tumour probability"].visible
    qtbot.mouseClick(card.show_box, LEFT, pos=QPoint(8, card.show_box.height() // 2))
    layer = viewer.layers["above threshold"]
    probability = session.analysis.scores.patch_probability[:, 1]
    assert np.isfinite(layer.data).sum() == (probability >= 0.4).sum()
    assert not viewer.layers["tumour probability"].visible, "the maps make way"
    assert viewer.layers[-1].name == "annotations"
    card.slider.setFocus()
    qtbot.keyClick(card.slider, Qt.Key.Key_End)
    assert not np.isfinite(layer.data).any()
    assert ". 0 of 36 patches" in card.facts.text()
    qtbot.keyClick(card.slider, Qt.Key.Key_Home)
    assert np.isfinite(layer.data).sum() == len(probability)
    assert "100% of the patches inside the outlines are found" in card.facts.text()
    qtbot.mouseClick(card.show_box, LEFT, pos=QPoint(8, card.show_box.height() // 2))
    assert "above threshold" not in viewer.layers
    assert viewer.layers["tumour probability"].visible


def test_the_comparison_is_saved_for_a_spreadsheet_and_for_qupath(qtbot, outlined, monkeypatch, tmp_path):
    _, session, dock, _ = outlined
    for button, name in ((dock.agreement.csv, "a.csv"), (dock.agreement.geojson, "a.geojson")):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args, name=name: (str(tmp_path / name), ""))
        qtbot.mouseClick(button, LEFT)
        qtbot.waitUntil(lambda: not dock.saver.busy)
    with (tmp_path / "a.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(session.analysis.processed.segments)
    assert float(rows[0]["purity"]) == pytest.approx(session.agreement.comparison.purity[0], abs=1e-4)
    assert len(read_annotations(tmp_path / "a.geojson", info=SlidePlace())) == len(rows)
    assert '"purity"' in (tmp_path / "a.geojson").read_text()


def test_drawing_with_the_mouse_is_compared_at_once(qtbot, analysed):
    viewer, session = analysed
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Annotations")
    viewer.reset_view()
    qtbot.mouseClick(dock.outlines.draw, LEFT)
    layer = viewer.layers["annotations"]
    assert layer.mode == "add_polygon_lasso"
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.wait(200)
    middle = canvas.rect().center()
    ring = [middle + QPoint(x, y) for x, y in ((-60, -60), (60, -60), (60, 60), (-60, 60), (-60, -50))]
    qtbot.mousePress(canvas, LEFT, pos=ring[0])
    for point in ring[1:]:
        qtbot.mouseMove(canvas, point)
        qtbot.wait(30)
    qtbot.mouseRelease(canvas, LEFT, pos=ring[-1])
    qtbot.waitUntil(lambda: len(layer.data) == 1)
    qtbot.waitUntil(lambda: session.agreement is not None)
    assert list(session.agreement.by_class) == ["Tumour"]
    assert session.agreement.comparison.recall.max() > 0


def test_an_unreadable_file_is_a_notification_and_the_dock_stays_usable(qtbot, analysed, monkeypatch, tmp_path):
    viewer, _ = analysed
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Annotations")
    path = tmp_path / "bad.xml"
    path.write_text("<nothing/>")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(path), ""))
    notification_manager.records.clear()
    qtbot.mouseClick(dock.outlines.load, LEFT)
    qtbot.waitUntil(lambda: bool(notification_manager.records))
    assert "not in a known annotation format" in notification_manager.records[0].message
    assert dock.outlines.load.isEnabled()


def test_without_a_slide_the_dock_says_what_to_do(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Annotations")
    assert not dock.outlines.load.isEnabled()
    assert not dock.figure.slider.isEnabled()
