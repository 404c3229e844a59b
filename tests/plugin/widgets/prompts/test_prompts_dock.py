"""The Prompts dock: clicks and drags in the image of a real window."""

from __future__ import annotations

import time

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_sam_mil.analysis import sam_calls
from napari_sam_mil.docks import find_dock
from napari_sam_mil.session.viewer import sessions_of
from sam_mil_engine.segment.predictor import SamPrompter
from small_sams import build_small_sam

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def prompts(qtbot, analysed, monkeypatch, in_this_process):
    """A window with an analysed slide, its session, the dock with a small SAM, and the canvas."""
    sam = SamPrompter(build_small_sam(), name="small", version="1")
    monkeypatch.setattr(sam_calls, "prompter", lambda _name: sam)
    monkeypatch.setattr("napari_sam_mil.widgets.prompts.dock.sams_on_disk", lambda: ["small"])
    viewer, session = analysed
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Prompts")
    viewer.reset_view()
    qtbot.wait(200)
    return viewer, session, dock, viewer.window._qt_viewer.canvas.native


def click(qtbot, dock, canvas, offset=(0, 0), *, button=LEFT):
    """Click in the image, beside its middle, and wait for SAM's answer."""
    qtbot.mouseClick(canvas, button, pos=canvas.rect().center() + QPoint(*offset))
    qtbot.waitUntil(lambda: not dock.jobs.busy)


def drag(qtbot, dock, canvas, first, last):
    middle = canvas.rect().center()
    qtbot.mousePress(canvas, LEFT, pos=middle + QPoint(*first))
    for share in (0.4, 0.8, 1.0):
        step = [round(a + share * (b - a)) for a, b in zip(first, last, strict=True)]
        qtbot.mouseMove(canvas, middle + QPoint(*step))
        qtbot.wait(20)
    qtbot.mouseRelease(canvas, LEFT, pos=middle + QPoint(*last))
    qtbot.waitUntil(lambda: not dock.jobs.busy)


def test_a_click_gives_a_mask_where_it_was_clicked_and_accept_a_segment(qtbot, prompts):
    viewer, session, dock, canvas = prompts
    before = session.analysis
    qtbot.mouseClick(dock.card.tools["positive"], LEFT)
    click(qtbot, dock, canvas)
    assert [prompt.kind for prompt in dock.history.prompts] == ["positive"]
    place = dock.history.prompts[0].points_px0[0]
    np.testing.assert_allclose(place, np.array(session.source.info.size_px0) / 2, atol=4)
    candidate = viewer.layers["candidate"]
    assert candidate.get_value(viewer.scene.camera.center[-2:], world=True) == 1
    features = before.processed.bag.features
    with qtbot.waitSignal(dock.editor.changed):
        qtbot.mouseClick(dock.card.accept, LEFT)
    qtbot.waitUntil(lambda: session.analysis is not before)
    assert len(session.analysis.processed.segments) == len(before.processed.segments) + 1
    assert session.analysis.processed.bag.features is features
    assert len(session.analysis.scores.groups.evidence) == len(session.analysis.processed.bag.groups)
    assert not viewer.layers["candidate"].data.any()
    assert dock.segments.list.item(0).text() == f"Segment {len(before.processed.segments) + 1}"
    assert "→" in dock.segments._said.text()
    qtbot.mouseClick(dock.segments.undo, LEFT)
    assert session.analysis is before


def test_a_click_elsewhere_does_not_wait_for_the_look_at_a_view_that_was_left(qtbot, prompts, monkeypatch):
    viewer, session, dock, canvas = prompts
    sam = sam_calls.prompter("small")
    looks, embed = [], sam.embed

    def slow_first(image, *, report):
        looks.append(image.shape)
        while len(looks) == 1:
            report()
            time.sleep(0.02)
        return embed(image, report=report)

    monkeypatch.setattr(sam, "embed", slow_first)
    qtbot.mouseClick(dock.card.tools["positive"], LEFT)
    qtbot.waitUntil(lambda: len(looks) == 1)
    viewer.scene.camera.zoom *= 4
    click(qtbot, dock, canvas)
    qtbot.waitUntil(lambda: dock.answer is not None)
    assert len(looks) == 2
    left, _, right, _ = dock.answer.region.bounds_px0
    assert right - left < session.source.info.size_px0[0], "SAM looked at the part that is in view"
    assert dock.answer.region.embedding
    assert len(session.regions) == 1, "nothing is kept of the look that was given up"


def test_candidates_cycle_and_prompts_go_back_by_keys(qtbot, prompts):
    viewer, _, dock, canvas = prompts
    qtbot.mouseClick(dock.card.tools["positive"], LEFT)
    click(qtbot, dock, canvas)
    assert dock.card.facts.text().startswith("Candidate 1 of 3")
    first = viewer.layers["candidate"].data.sum()
    qtbot.keyClick(canvas, Qt.Key.Key_C)
    assert dock.card.facts.text().startswith("Candidate 2 of 3")
    assert viewer.layers["candidate"].data.sum() != first
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert dock.history.prompts == ()
    assert not viewer.layers["candidate"].data.any()
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: bool(viewer.layers["candidate"].data.any()))
    qtbot.mouseClick(dock.card.tools["negative"], LEFT)
    click(qtbot, dock, canvas, (40, 30))
    assert [prompt.kind for prompt in dock.history.prompts] == ["positive", "negative"]
    qtbot.keyClick(canvas, Qt.Key.Key_Escape)
    assert dock.history.prompts == ()


def test_a_box_is_dragged_and_the_image_stays(qtbot, prompts):
    viewer, _, dock, canvas = prompts
    qtbot.mouseClick(dock.card.tools["box"], LEFT)
    centre = viewer.scene.camera.center
    drag(qtbot, dock, canvas, (-50, -40), (50, 40))
    assert viewer.scene.camera.center == centre, "a box does not move the image"
    (box,) = dock.history.prompts
    assert box.kind == "box"
    sides = np.abs(np.diff(box.points_px0, axis=0))[0] * 0.5 * viewer.scene.camera.zoom
    np.testing.assert_allclose(sides, (100, 80), atol=2)
    assert dock.answer.masks.shape[0] == 1
    qtbot.mouseClick(dock.card.tools["positive"], LEFT)
    drag(qtbot, dock, canvas, (0, 0), (60, 10))
    assert len(dock.history.prompts) == 1, "a drag with the point tool pans"
    assert viewer.scene.camera.center != centre


def test_segments_are_merged_renamed_and_deleted_in_the_list(qtbot, prompts):
    viewer, session, dock, _ = prompts
    before = len(session.analysis.processed.segments)
    rows = dock.segments.list
    for row, keys in ((0, Qt.KeyboardModifier.NoModifier), (1, Qt.KeyboardModifier.ControlModifier)):
        qtbot.mouseClick(rows.viewport(), LEFT, keys, rows.visualItemRect(rows.item(row)).center())
    qtbot.mouseClick(dock.segments.merge, LEFT)
    qtbot.waitUntil(lambda: len(session.analysis.processed.segments) == before - 1)
    qtbot.mouseClick(rows.viewport(), LEFT, pos=rows.visualItemRect(rows.item(0)).center())
    assert viewer.layers["segments (tissue-regions)"].selected_label == before - 1
    np.testing.assert_array_equal(
        viewer.layers["chosen segment"].data, session.analysis.processed.segments.mask(before - 2)
    )
    qtbot.mouseClick(dock.segments.rename, LEFT)
    editor = rows.findChild(type(viewer.window._qt_window.focusWidget()))
    qtbot.keyClicks(editor, "gland")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: session.analysis.names[-1:] == ("gland",))
    assert list(viewer.layers["segments (tissue-regions)"].features["name"])[-1] == "gland"
    qtbot.mouseClick(rows.viewport(), LEFT, pos=rows.visualItemRect(rows.item(0)).center())
    qtbot.mouseClick(dock.segments.delete, LEFT)
    qtbot.waitUntil(lambda: len(session.analysis.processed.segments) == before - 2)


def test_without_a_sam_the_dock_says_so_and_where_to_get_one(qtbot, make_napari_viewer, monkeypatch):
    monkeypatch.setattr("napari_sam_mil.widgets.prompts.dock.sams_on_disk", list)
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Prompts")
    assert "there is none on this computer" in dock.card.hint.text()
    assert "Models dock" in dock.card.hint.text()
    assert not any(button.isEnabled() for button in dock.card.tools.values())
    assert sessions_of(viewer).current is None
    qtbot.mouseClick(dock.card.models, LEFT)
    models = find_dock(viewer, "Models")
    qtbot.waitUntil(lambda: models is not None and not models.jobs.busy)
