"""Two classifiers on one slide: the window that one click opens."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from by_hand import fields, name_of
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from napari_sam_mil.analysis.library import Library
from sam_mil_engine.training import model_folders

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty library of the user, and no bundled model."""
    found = Library(tmp_path / "models.json")
    monkeypatch.setattr("napari_sam_mil.analysis.comparison.library", lambda: found)
    monkeypatch.setattr(model_folders, "bundled_models", dict)
    return found


@pytest.fixture
def abmil_folder(run_folder, tmp_path):
    """A second model that fits the same bags, with attention."""
    import torch

    from sam_mil_engine.mil.building import build_aggregator
    from sam_mil_engine.settings import ModelSettings
    from sam_mil_engine.training.checkpoint import TrainedModel, load_model, save_model

    first = load_model(run_folder)
    torch.manual_seed(11)
    model = build_aggregator(ModelSettings(name="abmil"), dim=first.expects.dim, n_classes=2).eval()
    save_model(tmp_path / "plain", TrainedModel(model, first.classes, 0.5, first.expects, "plain"))
    return tmp_path / "plain"


@pytest.fixture
def beside(qtbot, annotations_dock, shelf, abmil_folder):
    """The window, opened by one click."""
    shelf.add("classifier", abmil_folder)
    qtbot.mouseClick(annotations_dock.figure.beside, LEFT)
    qtbot.waitUntil(lambda: annotations_dock.comparison_dock is not None)
    dock = annotations_dock.comparison_dock
    yield dock
    dock._viewer.close()


def pick(qtbot, box, place):
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Home)
    for _ in range(place):
        qtbot.keyClick(box, Qt.Key.Key_Down)


def test_one_click_shows_sam_mil_left_and_ab_mil_right_in_a_linked_grid(qtbot, beside, analysed):
    window, session = beside._viewer, analysed[1]
    assert window is not analysed[0]
    assert [side.title for side in beside.pair] == ["SAM-MIL · stand-in", "AB-MIL · plain"]
    layers = window.layers
    grid = window.canvas.grid
    assert grid.enabled
    assert grid.actual_shape(layers) == (1, 2)
    assert [grid.position(place, layers) for place in (0, 4)] == [(0, 0), (0, 1)], "left is left"
    assert grid.position(3, layers) == (0, 0)
    np.testing.assert_array_equal(layers[0].scale, session.layer.scale)
    np.testing.assert_array_equal(layers[0].translate, session.layer.translate)
    assert len(layers[3].data) == len(layers[7].data) > 0, "outlines on both sides"
    # the numbers are those of each model
    for cell, side in enumerate(beside.pair):
        above = side.scores.relative_attention >= 1
        assert np.isfinite(layers[4 * cell + 2].data).sum() == above.sum()
    assert not np.allclose(beside.pair[0].scores.attention, beside.pair[1].scores.attention)
    assert "Patch AUC of attention" in beside.facts[0].text()


def test_threshold_number_and_sides_follow_the_keyboard(qtbot, beside):
    layers = beside._viewer.layers
    beside.slider.setFocus()
    qtbot.keyClick(beside.slider, Qt.Key.Key_Home)
    assert (
        np.isfinite(layers[2].data).sum()
        == np.isfinite(layers[6].data).sum()
        == len(beside.pair[0].scores.attention)
    )
    camera = beside._viewer.scene.camera
    camera.zoom = zoom = camera.zoom * 3
    pick(qtbot, beside.quantity, 1)
    assert layers[1].name == "probability: SAM-MIL · stand-in"
    assert camera.zoom == zoom, "what is looked at stays"
    assert beside.spin.value() == pytest.approx(0.4), "the threshold of the left model"
    pick(qtbot, beside.shown, 1)
    assert [layers[place].visible for place in (1, 2, 5, 6)] == [True, False, True, False]
    pick(qtbot, beside.models[1], 0)
    np.testing.assert_array_equal(layers[1].data, layers[5].data)
    assert len(layers) == 8


def test_the_window_draws_both_cells(qtbot, beside):
    qtbot.wait(900)
    image = beside._viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    half = image.shape[1] // 2
    pink = (image[..., 0] - image[..., 1] > 25) & (image[..., 0] > 100)
    cyan = (image[..., 2] - image[..., 0] > 40) & (image[..., 1] - image[..., 0] > 15)
    for cell in (pink | cyan)[:, :half], (pink | cyan)[:, half:]:
        assert cell.mean() > 0.05


def test_ab_mil_is_on_the_right_also_where_another_sam_mil_fits(
    qtbot, annotations_dock, shelf, abmil_folder, run_folder
):
    twin = abmil_folder.with_name("twin")
    shutil.copytree(run_folder, twin)
    shelf.add("classifier", twin)
    shelf.add("classifier", abmil_folder)
    qtbot.mouseClick(annotations_dock.figure.beside, LEFT)
    qtbot.waitUntil(lambda: annotations_dock.comparison_dock is not None)
    dock = annotations_dock.comparison_dock
    assert [side.model.settings.name for side in dock.pair] == ["sam-mil", "abmil"]
    assert dock.models[0].count() == 3
    dock._viewer.close()


def test_with_one_classifier_the_message_says_what_is_missing(qtbot, annotations_dock, shelf, run_folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run_folder, other)
    description = json.loads((other / "model.json").read_text())
    description["expects"]["patch_size"] = 512
    (other / "model.json").write_text(json.dumps(description))
    shelf.add("classifier", other)
    notification_manager.records.clear()
    qtbot.mouseClick(annotations_dock.figure.beside, LEFT)
    qtbot.waitUntil(lambda: bool(notification_manager.records))
    message = notification_manager.records[0].message
    assert "only SAM-MIL · stand-in fits this slide" in message
    assert "patches of 128 px" in message
    assert "other: the model stand-in expects patch size 512" in message
    assert "such as AB-MIL, in the Models dock" in message
    assert annotations_dock.comparison_dock is None


def test_every_field_of_the_window_explains_itself(beside):
    found = fields(beside)
    assert len(found) == 6
    assert [one for one in found if len(one.toolTip()) < 4 or not name_of(one, beside)] == []
