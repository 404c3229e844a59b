"""Slides of one name, slides that are closed, views with exchanged axes, duplicated layers."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from by_hand import click, click_row, undrawn, until, words_of
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from napari_sam_mil.analysis.placement import points_to_world
from napari_sam_mil.layers.view import show_px0, view_px0
from napari_sam_mil.session.viewer import sessions_of
from tiny_slides import write_tiny_slide


@pytest.fixture
def viewer(make_napari_viewer, tiny_slide):
    viewer = make_napari_viewer(show=True)
    with undrawn(viewer):
        viewer.window.resize(1300, 850)
        viewer.open(str(tiny_slide), plugin="napari-sam-mil")
    return viewer


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_is_in_view_whichever_axis_runs_across(viewer, order):
    mpp = viewer.layers[0].metadata["sam_mil"].source.mpp
    viewer.dims.order = order
    point = (500, 120)
    world = points_to_world([point], mpp)[0]
    viewer.scene.camera.zoom *= 4
    viewer.scene.camera.center = tuple(world[list(viewer.dims.displayed)])
    left, top, right, bottom = view_px0(viewer, mpp)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx(point)
    sides = (bottom - top, right - left)
    canvas = np.asarray(viewer.canvas.size)[list(np.argsort(order))]
    assert sides[0] / sides[1] == pytest.approx(canvas[0] / canvas[1])
    show_px0(viewer, [(200, 300), (260, 340)], mpp)
    left, top, right, bottom = view_px0(viewer, mpp)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((230, 320))
    assert left <= 200 + 1e-6
    assert right >= 260 - 1e-6
    assert top <= 300 + 1e-6
    assert bottom >= 340 - 1e-6


def test_a_view_in_three_dimensions_of_a_stack_beside_the_slide(viewer):
    viewer.add_image(np.zeros((3, 40, 40)))
    mpp = viewer.layers[0].metadata["sam_mil"].source.mpp
    show_px0(viewer, [(200, 300), (260, 340)], mpp)
    left, top, right, bottom = view_px0(viewer, mpp)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((230, 320))


def test_slide_and_results_can_be_duplicated(analysed):
    from napari._app_model import get_app_model

    viewer, session = analysed
    for layer in (
        session.layer,
        session.layers["segments"],
        session.layers["probability"],
        session.layers["tissue"],
    ):
        viewer.layers.selection = {layer}
        before = len(viewer.layers)
        get_app_model().commands.execute_command("napari.layer.duplicate").result()
        assert len(viewer.layers) == before + 1
        assert f"{layer.name} copy" in viewer.layers
    copy = viewer.layers[f"{session.layer.name} copy"]
    np.testing.assert_array_equal(np.asarray(copy.data[-1]), np.asarray(session.layer.data[-1]))


def test_the_results_of_a_slide_go_with_it_and_nothing_is_said_of_them(open_dock, processed, tiny_slide):
    slide, project = processed
    viewer, dock = open_dock(slide)
    dock.choices_card.set_project(project)
    until(lambda: sessions_of(viewer).current.analysis is not None, "the results of before")
    until(lambda: not dock.stored.jobs.busy, "the prediction")
    viewer.layers.selection = {sessions_of(viewer).current.layer}
    viewer.layers.remove_selected()
    batches, results = [], len(viewer.layers)
    viewer.layers.events.begin_batch.connect(lambda _event: batches.append(len(viewer.layers)))
    viewer.layers.events.end_batch.connect(lambda _event: batches.append(len(viewer.layers)))
    until(lambda: len(viewer.layers) == 0, "the results gone")
    assert batches == [results, 0], "napari collects garbage once"
    assert not dock.progress_card.isVisible()
    viewer.open(str(tiny_slide), plugin="napari-sam-mil")
    until(lambda: sessions_of(viewer).current is not None, "the other slide")
    assert "tiny" in words_of(dock.slide_card)
    assert not dock.progress_card.isVisible(), "nothing was done of this slide"
    assert not dock.result_card.isVisible()


def test_outlines_that_are_not_saved_stay_and_the_user_is_told(annotations_dock, analysed):
    viewer, session = analysed
    notification_manager.records.clear()
    outlines = session.layers["annotations"]
    viewer.layers.remove(session.layer)
    until(lambda: len(viewer.layers) == 1, "the results gone")
    assert list(viewer.layers) == [outlines]
    assert any("unsaved" in str(one.message) for one in notification_manager.records)


def test_edits_that_are_not_saved_stay(analysed):
    from dataclasses import replace

    viewer, session = analysed
    sessions_of(viewer).edit(session, replace(session.analysis))
    segments = session.layers["segments"]
    viewer.layers.remove(session.layer)
    until(lambda: len(viewer.layers) == 1, "the results gone")
    assert list(viewer.layers) == [segments]


def test_what_arrives_for_a_closed_slide_is_not_shown(analysed):
    viewer, session = analysed
    sessions, data = sessions_of(viewer), session.result_layers()["probability"]
    viewer.layers.remove(session.layer)
    until(lambda: len(viewer.layers) == 0, "the results gone")
    layer = sessions.put(session, "probability", data)
    sessions.refresh(session)
    sessions.drop(session, "probability")
    assert layer not in viewer.layers


def test_two_slides_of_one_name(make_napari_viewer, processed, tmp_path, qtbot):
    """Another hospital's slide of the same name is open: the row of the project opens its own."""
    slide, project = processed
    (tmp_path / "other").mkdir()
    other = write_tiny_slide(tmp_path / "other" / slide.name, seed=9)
    viewer = make_napari_viewer(show=True)
    viewer.open(str(other), plugin="napari-sam-mil")
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Slides")
    dock.show_folder(project)
    until(dock.table.viewport().isVisible, "the table")
    click_row(dock.table, 0)
    click(dock.open)
    until(lambda: sessions_of(viewer).current.source.is_file(slide), "the slide of the project")
    first = sessions_of(viewer).current
    click(dock.open)
    assert sessions_of(viewer).current is first, "a slide that is open is gone to"


def test_results_of_another_slide_of_the_name_are_not_shown_and_that_is_said(open_dock, processed, tmp_path):
    slide, project = processed
    copy = tmp_path / "copied"
    shutil.copytree(project, copy)
    (tmp_path / "other").mkdir()
    other = write_tiny_slide(tmp_path / "other" / slide.name, seed=9)
    notification_manager.records.clear()
    viewer, dock = open_dock(other)
    dock.choices_card.set_project(copy)
    until(
        lambda: any("a different slide called finished" in str(r.message) for r in notification_manager.records),
        "word",
    )
    assert sessions_of(viewer).current.analysis is None
    assert len(viewer.layers) == 1


def test_the_keyboard_exchanges_the_axes(viewer, qtbot):
    window = viewer.window._qt_window
    window.activateWindow()
    qtbot.keyClick(window, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    assert viewer.dims.order == (1, 0), "what the test above sets by hand"
