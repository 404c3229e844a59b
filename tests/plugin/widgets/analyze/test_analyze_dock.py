"""The main road in a real napari: open a slide, click the button, look."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from by_hand import choose
from by_hand import click as by_hand_click
from napari.utils.notifications import notification_manager
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QLabel

from napari_sam_mil.analysis import run
from napari_sam_mil.analysis.model import AUTO, Choices
from napari_sam_mil.layers.results import KINDS
from napari_sam_mil.layers.view import view_px0
from napari_sam_mil.napari_compat.dock_frames import frame_of
from napari_sam_mil.session.viewer import sessions_of
from sam_mil_engine.progress import Progress
from sam_mil_engine.settings import TISSUE_PRESETS
from sam_mil_engine.training.model_folders import bundled_models

NAMES = ["tissue", "segments (tissue-regions)", "attention", "tumour probability", "evidence"]


def click(qtbot, dock, button):
    """Click a button and wait until the job that it started has ended."""
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert dock.job is not None, "the click starts a job"
    with qtbot.waitSignal(dock.job.ended):
        pass


def covers(layer):
    """World corners of what an image or labels layer covers."""
    half = np.asarray(layer.scale) / 2
    return np.asarray(layer.extent.world) + np.stack([-half, half])


def test_segment_classify_puts_every_layer_where_it_belongs(qtbot, open_dock, tiny_slide, tmp_path):
    viewer, dock = open_dock(tiny_slide)
    click(qtbot, dock, dock.button)
    assert [layer.name for layer in viewer.layers] == ["tiny", *NAMES]
    slide, by_name = viewer.layers[0], {layer.name: layer for layer in viewer.layers}
    whole = covers(slide)
    np.testing.assert_allclose(whole, (np.array([[0, 0], [512, 640]]) - 0.5) * 0.5)
    # 640 x 512 px are 5 x 4 patches of 128 px: the maps begin and end on the grid of the slide
    session = sessions_of(viewer).current
    cells = session.analysis.processed.grid.cells
    first, last = cells.min(axis=0)[::-1], cells.max(axis=0)[::-1] + 1
    for name in ("attention", "tumour probability", "evidence"):
        np.testing.assert_allclose(covers(by_name[name]), (np.array([first, last]) * 128 - 0.5) * 0.5)
    frame = session.analysis.processed.segments.frame
    corner = (np.asarray(frame.origin_px0)[::-1] - 0.5) * 0.5
    np.testing.assert_allclose(covers(by_name["segments (tissue-regions)"])[0], corner)
    tissue = np.asarray(by_name["tissue"].extent.world)
    assert (tissue >= whole[0] - 1).all()
    assert (tissue <= whole[1] + 1).all()
    # the blob is in the middle of the slide and 4/5 of it wide
    np.testing.assert_allclose(tissue.mean(axis=0), whole.mean(axis=0), atol=8)
    np.testing.assert_allclose(np.ptp(tissue, axis=0), 0.8 * np.ptp(whole, axis=0), atol=12)
    assert (tmp_path / "project" / "bags" / "tiny.h5").is_file()


def test_the_result_card_tells_class_probability_threshold_and_card(qtbot, open_dock, tiny_slide):
    viewer, dock = open_dock(tiny_slide)
    assert not dock.result_card.isVisible()
    click(qtbot, dock, dock.button)
    scores = sessions_of(viewer).current.analysis.scores
    text = " ".join(label.text() for label in dock.result_card.findChildren(type(dock.result_card.heading)))
    assert scores.predicted in text
    assert f"{scores.probabilities[1]:.3f}, threshold 0.40" in text
    assert "Patch probabilities are not calibrated. No calibration is recorded for the slide probability" in text
    assert "Not for diagnosis" in text, "said even where the model card forgets to"
    assert "stand-in" in text
    assert dock.progress_card.heading.text().startswith("Done in")
    assert dock.result_card.findChild(QLabel, "samMilOutside") is None
    # a slide unlike anything that the model was trained on
    known = sessions_of(viewer).current.analysis
    dock.result_card.show_result(replace(known, scores=replace(scores, domain_distance=2.5)))
    assert "2.5 times as far" in dock.result_card.findChild(QLabel, "samMilOutside").text()


def test_a_second_run_reuses_everything_and_the_layers_stay(qtbot, open_dock, tiny_slide):
    viewer, dock = open_dock(tiny_slide)
    click(qtbot, dock, dock.button)
    before = {layer.name: layer for layer in viewer.layers}
    before["attention"].visible, before["attention"].opacity = True, 0.33
    click(qtbot, dock, dock.button)
    assert [layer.name for layer in viewer.layers] == ["tiny", *NAMES]
    after = {layer.name: layer for layer in viewer.layers}
    assert after["attention"] is before["attention"], "taking it away would stop the window for half a second"
    assert after["attention"].visible
    assert after["attention"].opacity == pytest.approx(0.33), "what the user set stays"
    assert len(sessions_of(viewer).current.analysis.processed.reused) == 5


def test_steps_can_be_done_one_by_one(qtbot, open_dock, tiny_slide):
    viewer, dock = open_dock(tiny_slide)
    click(qtbot, dock, dock.steps["Tissue"])
    assert [layer.name for layer in viewer.layers] == ["tiny", "tissue"]
    click(qtbot, dock, dock.steps["Segment"])
    assert [layer.name for layer in viewer.layers] == ["tiny", "tissue", "segments (tissue-regions)"]
    click(qtbot, dock, dock.steps["Features"])
    assert sessions_of(viewer).current.analysis.processed.bag is not None
    click(qtbot, dock, dock.steps["Classify"])
    assert [layer.name for layer in viewer.layers] == ["tiny", *NAMES]
    click(qtbot, dock, dock.steps["Tissue"])
    assert [layer.name for layer in viewer.layers] == ["tiny", *NAMES], "an earlier step takes nothing away"


def test_the_keyboard_starts_it(qtbot, open_dock, tiny_slide):
    viewer, dock = open_dock(tiny_slide)
    window = viewer.window._qt_window
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(window, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert dock.job is not None
    with qtbot.waitSignal(dock.job.ended):
        pass


def slowly(monkeypatch):
    """Make the encoder stage long: every report waits, so that a cancel lands in the middle."""
    seen: list[tuple[str, bool]] = []
    real = run.analyse_in_worker

    def slow(source, choices, *, step, progress):
        def report(item: Progress) -> None:
            seen.append((item.stage, item.done > 0))
            time.sleep(0.02)
            progress(item)
            if item.stage == "features" and item.done:
                for _ in range(500):
                    time.sleep(0.02)
                    progress(item)

        return real(source, choices, step=step, progress=report)

    monkeypatch.setattr("napari_sam_mil.widgets.analyze.dock.analyse_in_worker", slow)
    return seen


def test_cancel_in_the_middle_keeps_what_was_finished(qtbot, open_dock, tiny_slide, monkeypatch):
    viewer, dock = open_dock(tiny_slide)
    seen = slowly(monkeypatch)
    qtbot.mouseClick(dock.button, Qt.MouseButton.LeftButton)
    job = dock.job
    assert not dock.button.isEnabled()
    qtbot.waitUntil(lambda: ("features", True) in seen)
    with qtbot.waitSignal(job.cancelled):
        qtbot.mouseClick(dock.progress_card.cancel, Qt.MouseButton.LeftButton)
        reports = len(seen)
    assert len(seen) <= reports + 1, "the work ends at its next report"
    qtbot.waitUntil(lambda: dock.job is None)
    assert dock.progress_card.heading.text().startswith("Cancelled")
    assert dock.button.isEnabled()
    assert len(viewer.layers) == 1
    monkeypatch.undo()
    click(qtbot, dock, dock.button)
    assert {"tissue", "tiles", "segments"} <= set(sessions_of(viewer).current.analysis.processed.reused)


def test_an_error_is_a_notification_that_says_what_to_do(qtbot, open_dock, blank_slide):
    _, dock = open_dock(blank_slide)
    notification_manager.records.clear()
    click(qtbot, dock, dock.button)
    (notification,) = notification_manager.records
    assert "No tissue was found" in notification.message
    assert "preset" in notification.message
    ((text, action),) = notification.actions
    assert text == "Show details"
    action(None)
    dialog = next(window for window in QApplication.topLevelWidgets() if window.windowTitle() == "Error details")
    assert "Traceback" in dialog.layout().itemAt(0).widget().toPlainText()
    dialog.close()
    assert dock.progress_card.heading.text() == "Stopped by an error"
    assert dock.progress_card.reason.text().startswith("No tissue was found")
    assert "--" not in notification.message + dock.progress_card.reason.text(), "no words of the command line"
    assert dock.button.isEnabled(), "the rest stays usable"


def test_closing_the_window_during_work_ends_the_work(qtbot, open_dock, tiny_slide, monkeypatch):
    viewer, dock = open_dock(tiny_slide)
    seen = slowly(monkeypatch)
    qtbot.mouseClick(dock.button, Qt.MouseButton.LeftButton)
    job = dock.job
    qtbot.waitUntil(lambda: ("segments", False) in seen)
    del dock
    with qtbot.waitSignal(job.ended):
        viewer.close()
    assert job.cancelling


def test_without_a_slide_the_buttons_wait(qtbot, open_dock):
    _, dock = open_dock()
    assert not dock.button.isEnabled()
    assert "No slide is open" in dock.slide_card._facts.text()


def test_two_slides_keep_their_own_state(qtbot, open_dock, tiny_slide, generated_slide):
    viewer, dock = open_dock(tiny_slide, generated_slide)
    viewer.layers.selection.active = viewer.layers["tiny"]
    click(qtbot, dock, dock.button)
    assert dock.result_card.isVisible()
    viewer.layers.selection.active = viewer.layers["generated"]
    assert "generated" in dock.slide_card._facts.text()
    assert not dock.result_card.isVisible()
    click(qtbot, dock, dock.steps["Tissue"])
    first, second = sessions_of(viewer).all()
    assert set(first.layers) == set(KINDS) - {"artefacts"}  # they are kept unless the settings say otherwise
    assert set(second.layers) == {"tissue"}
    assert first.layers["tissue"] is not second.layers["tissue"]
    viewer.layers.selection.active = first.layers["probability"]
    assert "tiny" in dock.slide_card._facts.text(), "a layer of a slide makes it the current one"
    viewer.layers.remove(first.layer)
    assert sessions_of(viewer).all() == (second,)


def test_a_slide_without_mpp_gets_its_segments_is_asked_for_it_and_goes_on(qtbot, open_dock, tiny_slide, tmp_path):
    plain = tmp_path / "plain.png"
    Image.fromarray(tifffile.imread(tiny_slide)).save(plain)
    viewer, dock = open_dock(plain)
    assert [str(unit) for unit in viewer.layers[0].units] == ["pixel", "pixel"]
    notification_manager.records.clear()
    click(qtbot, dock, dock.button)
    assert notification_manager.records == [], "nothing went wrong"
    assert [layer.name for layer in viewer.layers] == ["plain", "tissue", "segments (tissue-regions)"]
    assert "Waiting for the resolution" in dock.progress_card.heading.text()
    assert dock.slide_card.question.isVisible()
    assert "expects 0.5 µm per pixel" in dock.slide_card.question.text()
    qtbot.waitUntil(lambda: viewer.window._qt_window.focusWidget() is dock.slide_card._mpp)
    viewer.scene.camera.zoom *= 1.7
    in_view = view_px0(viewer, None)
    notification_manager.records.clear()
    dock.slide_card._mpp.setValue(0.5)
    assert {str(layer.units[0]) for layer in viewer.layers} == {"micrometer"}
    assert tuple(viewer.layers[0].scale) == (0.5, 0.5)
    assert view_px0(viewer, (0.5, 0.5)) == pytest.approx(in_view), "what is looked at stays in view"
    qtbot.waitUntil(lambda: dock.job is not None)  # it goes on by itself
    qtbot.waitUntil(lambda: dock.job is None)
    assert not dock.slide_card.question.isVisible()
    assert notification_manager.records == [], "no warning of units"
    assert [layer.name for layer in viewer.layers] == ["plain", *NAMES]


def test_the_question_for_the_resolution_stays_with_its_slide(qtbot, open_dock, tiny_slide, tmp_path, monkeypatch):
    plain = tmp_path / "plain.png"
    Image.fromarray(tifffile.imread(tiny_slide)).save(plain)
    notification_manager.records.clear()
    viewer, dock = open_dock(tiny_slide, plain)
    viewer.window.resize(1024, 768)
    click(qtbot, dock, dock.steps["Features"])
    card = dock.slide_card
    words = card.question.text()
    assert card.question.isVisible()
    viewer.layers.selection.active = viewer.layers["tiny"]
    assert not card.question.isVisible()
    assert not card._entry.isVisible(), "this slide says its resolution"
    viewer.layers.selection.active = viewer.layers["plain"]
    assert (card.question.isVisible(), card.question.text()) == (True, words)
    card._mpp.setValue(0.5)
    first, second = sessions_of(viewer).all()
    viewer.layers.selection.active = viewer.layers["tiny"]  # before the step went on
    qtbot.waitUntil(lambda: second.analysis.processed.bag is not None)
    qtbot.waitUntil(lambda: dock.job is None)
    assert first.analysis is None, "the step went on with the slide that it was asked for"
    assert second.question is None
    qtbot.wait(300)
    assert notification_manager.records == [], "no warning of units, and no other"


def test_the_field_of_the_resolution_shows_number_and_unit_whole(open_dock, tiny_slide, tmp_path):
    plain = tmp_path / "plain.png"
    Image.fromarray(tifffile.imread(tiny_slide)).save(plain)
    _, dock = open_dock(plain)
    frame = frame_of(dock)
    frame.setFloating(True)
    frame.resize(270, 700)
    QApplication.processEvents()
    field = dock.slide_card._mpp
    for value, text in ((0.5, "0.5 µm/px"), (0.2525, "0.2525 µm/px")):
        field.setValue(value)
        assert field.text() == text
        edit = field.lineEdit()
        assert edit.fontMetrics().horizontalAdvance(text) + 4 <= edit.width()
        assert field.mapTo(dock, field.rect().topRight()).x() <= dock.width()


def test_tissue_that_is_left_out_is_told_of_beside_the_preset_that_takes_it(qtbot, open_dock, tmp_path):
    # one piece of 20 squares of 512 x 512 pixels and one of 5; the preset asks for 16
    image = np.full((4096, 4096, 3), 244, np.uint8)
    image[256:2560, 256:2560] = image[2816:3968, 2816:3968] = (190, 90, 160)
    path = tmp_path / "pieces.tif"
    resolution = {"resolution": (20000, 20000), "resolutionunit": 3}
    tifffile.imwrite(path, image, tile=(256, 256), photometric="rgb", compression="deflate", **resolution)
    _, dock = open_dock(path)
    label = dock.findChild(QLabel, "samMilLeftOut")
    assert not label.isVisible()
    choose(dock.choices_card.preset, "TCGA")
    notification_manager.records.clear()
    click(qtbot, dock, dock.steps["Tissue"])
    (told,) = notification_manager.records
    assert "a piece of tissue is left out" in told.message
    assert label.isVisible()
    assert label.text().startswith("A piece of tissue is left out as too small")
    choose(dock.choices_card.preset, "Biopsy")
    click(qtbot, dock, dock.steps["Tissue"])
    assert not label.isVisible()


def test_the_slide_is_seen_in_a_image_of_the_window(qtbot, open_dock, cmu_slide, tmp_path):
    viewer, dock = open_dock(cmu_slide)
    viewer.window.resize(1400, 900)
    dock.choices_card.set_project(tmp_path / "cmu")
    click(qtbot, dock, dock.steps["Segment"])
    viewer.reset_view()
    qtbot.wait(500)
    path = tmp_path / "window.png"
    viewer.window.screenshot(str(path), flash=False, canvas_only=False)
    window = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert window.shape[1] >= 1300
    # the slide is in the middle of the canvas: some of it white glass, some of it pink to purple tissue
    canvas = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    height, width = canvas.shape[:2]
    middle = canvas[height // 4 : -height // 4, width // 3 : -width // 3]
    tissue = (middle[..., 0] - middle[..., 1] > 25) & (middle[..., 2] - middle[..., 1] > 10)
    assert tissue.mean() > 0.15
    assert (middle.min(axis=-1) > 225).mean() > 0.02
    assert (canvas[:, : width // 20].max(axis=-1) < 60).mean() > 0.9, "nothing is drawn beside the slide"


def test_every_tissue_preset_of_the_engine_can_be_chosen(qtbot, open_dock):
    _, dock = open_dock()
    box = dock.choices_card.preset
    offered = {box.itemData(place) for place in range(box.count())}
    assert offered == {None, *TISSUE_PRESETS}
    box.setCurrentIndex(box.findData("biopsy"))
    assert dock.choices_card.choices().preset == "biopsy"


def test_every_bundled_classifier_can_be_chosen_and_the_one_that_fits_is_the_default(qtbot, open_dock, run_folder):
    _, dock = open_dock()
    box = dock.choices_card.classifier
    offered = {box.itemData(place) for place in range(box.count())}
    assert offered == {AUTO, str(run_folder), *bundled_models()}
    assert box.itemData(0) == Choices().classifier == AUTO


def test_the_estimate_is_offered_as_one_and_taken_by_a_click(qtbot, open_dock, cmu_slide, tmp_path):
    image = tifffile.imread(cmu_slide)[:1200, :1200]
    plain = tmp_path / "plain.png"
    Image.fromarray(image).save(plain)
    viewer, dock = open_dock(plain)
    choose(dock.choices_card.preset, "Biopsy")
    click(qtbot, dock, dock.button)
    card = dock.slide_card
    assert "an estimate, so check it" in card.question.text()
    assert "0.5 µm/px" in card.suggested.text()
    by_hand_click(card.suggested)
    qtbot.waitUntil(lambda: dock.job is not None)
    qtbot.waitUntil(lambda: dock.job is None)
    assert sessions_of(viewer).current.source.mpp == (0.5, 0.5)
    assert dock.result_card.isVisible()


def test_the_order_of_the_dock_and_its_line_of_choices(qtbot, open_dock, tiny_slide):
    viewer, dock = open_dock(tiny_slide)
    viewer.window.resize(1024, 768)
    QApplication.processEvents()
    assert "automatic segments" in dock.fold.line.accessibleName()
    assert "whole slide" in dock.fold.line.accessibleName()
    assert not dock.choices_card.isVisible()
    by_hand_click(dock.fold.line)
    assert dock.choices_card.isVisible()
    assert dock.steps["Tissue"].isVisible()
    by_hand_click(dock.fold.line)

    def top(widget):
        return widget.mapTo(dock, widget.rect().topLeft()).y()

    qtbot.mouseClick(dock.button, Qt.MouseButton.LeftButton)
    job = dock.job
    QApplication.processEvents()
    assert top(dock.slide_card) < top(dock.button) < top(dock.fold) < top(dock.progress_card)
    assert top(dock.progress_card.cancel) + dock.progress_card.cancel.height() <= dock.height(), "above the fold"
    with qtbot.waitSignal(job.ended):
        pass
    qtbot.waitUntil(lambda: top(dock.result_card) < top(dock.progress_card))
    verdict = dock.findChild(QLabel, "samMilVerdict")
    qtbot.waitUntil(lambda: top(verdict) + verdict.height() <= dock.height())
    assert viewer.canvas.size[1] >= 370, "room for the slide"


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("words", ["button", "disabled button", "faint"])
def test_words_can_be_read_in_both_themes(open_dock, tiny_slide, theme, words):
    """They stand out from what is behind them by WCAG's ratio of 4.5 for text, as drawn."""
    viewer, dock = open_dock(tiny_slide)
    viewer.theme = "light" if theme == "dark" else "dark"
    shown = dock.button
    if words == "faint":
        shown = dock.region_card.facts
        shown.setText("The results shown are those of a region, not of the whole slide.")
        shown.show()
    dock.button.setEnabled(words == "button")
    QApplication.processEvents()
    viewer.theme = theme  # words that are shown follow it
    QApplication.processEvents()
    image = shown.grab().toImage()
    shades = {
        image.pixelColor(x, y).rgb()
        for x in range(2 if words == "faint" else 20, image.width() - 20)
        for y in range(2 if words == "faint" else 8, min(30, image.height()))
    }

    def luminance(rgb):
        parts = [((rgb >> shift) & 255) / 255 for shift in (16, 8, 0)]
        linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light = sorted(map(luminance, shades))
    assert (light[-1] + 0.05) / (light[0] + 0.05) >= (6 if words == "faint" else 4.5)
