"""A segmenter and an encoder of another package in the window: chosen in the Analyze dock, and used."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from by_hand import choose
from qtpy.QtCore import Qt

from napari_sam_mil.analysis.models import all_models
from napari_sam_mil.analysis.prompting import sams_on_disk
from napari_sam_mil.session.viewer import sessions_of
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.settings import ModelSettings
from sam_mil_engine.training.checkpoint import TrainedModel, save_model
from sam_mil_engine.training.expects import Expects
from toy_methods import install, install_toys


@pytest.fixture(autouse=True)
def toys(tmp_path, monkeypatch):
    """The methods that CONTRIBUTING shows are installed."""
    monkeypatch.syspath_prepend(str(install_toys(tmp_path / "site")))
    yield
    for name in ("toy_encoder", "toy_segmenter", "toy_aggregator"):
        sys.modules.pop(name, None)


@pytest.fixture
def toy_run(tmp_path):
    """A model folder with the toy aggregator on features of the toy encoder, which nobody trained."""
    model = TrainedModel(
        model=build_aggregator(ModelSettings(name="toy"), dim=6, n_classes=2).eval(),
        classes=("normal", "tumour"),
        threshold=0.5,
        expects=Expects(dim=6, encoder="toy", patch_size=128, mpp=0.5),
        name="toy-run",
    )
    save_model(tmp_path / "toy-run", model)
    return tmp_path / "toy-run"


def test_they_can_be_chosen_and_an_analysis_with_them_runs(qtbot, open_dock, tiny_slide, toy_run):
    viewer, dock = open_dock(tiny_slide)
    card = dock.choices_card
    card.set_classifier(toy_run)
    qtbot.mouseClick(dock.fold.line, Qt.MouseButton.LeftButton)
    choose(card.segmenter, "toy")
    choose(card.encoder, "toy")
    qtbot.mouseClick(dock.button, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(dock.job.ended):
        pass
    found = sessions_of(viewer).current.analysis
    assert found.processed.bag.attrs["encoder"] == "toy"
    assert found.processed.bag.features.shape[1] == 6
    assert len(found.processed.segments) == 2, "dark and pale"
    assert np.isfinite(found.scores.probabilities).all()
    assert {"segments (toy)", "tumour probability"} <= {layer.name for layer in viewer.layers}
    assert "toy" not in sams_on_disk(), "it takes no prompts"


def test_the_models_dock_lists_them(qtbot, make_napari_viewer):
    _, dock = make_napari_viewer(show=True).window.add_plugin_dock_widget("napari-sam-mil", "Models")
    qtbot.waitUntil(lambda: dock.list.topLevelItemCount() == 3 and not dock.jobs.busy)
    found = dock.list.findItems("toy", Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive)
    assert [item.parent().text(0) for item in found] == ["Segmenters", "Encoders"]
    dock.choose("toy")
    assert "comes with the package toy-methods" in dock.facts.text()


def test_one_that_cannot_be_loaded_is_listed_with_the_reason(tmp_path, monkeypatch):
    points = {"sam_mil_engine.encoders": {"lost": "other_package_that_is_lost:CARD"}}
    monkeypatch.syspath_prepend(str(install(tmp_path / "lost", "lost-methods", {}, points)))
    listed = {(model.kind, model.name): model for model in all_models()}
    lost = listed["encoder", "lost"]
    assert lost.what.startswith("cannot be used: ModuleNotFoundError")
    assert lost.source == "comes with the package lost-methods"
    assert (lost.on_disk, lost.fetchable, lost.removable) == (False, False, False)
    assert listed["encoder", "toy"].on_disk, "it stops no other"
