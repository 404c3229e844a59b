"""A trained stand-in and slides for the plugin's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from napari_sam_mil.native import prepare_for_torch

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from napari_sam_mil.widgets.analyze import AnalyzeDock


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as ``train`` writes it, with weights that nobody trained: its numbers mean nothing."""
    prepare_for_torch()
    import torch
    from sam_mil_engine.mil.registry import build_aggregator
    from sam_mil_engine.settings import ModelSettings
    from sam_mil_engine.train.checkpoint import TrainedModel, save_model
    from sam_mil_engine.train.expects import Expects

    torch.manual_seed(3)
    model = TrainedModel(
        model=build_aggregator(ModelSettings(name="sam-mil"), dim=1280, n_classes=2).eval(),
        classes=("normal", "tumour"),
        threshold=0.4,
        expects=Expects(dim=1280, encoder="efficientnet-lite0", patch_size=128, mpp=0.5),
        name="stand-in",
        card="Random weights.",
    )
    folder = tmp_path_factory.mktemp("runs") / "stand-in"
    save_model(folder, model)
    return folder


@pytest.fixture
def open_dock(
    make_napari_viewer: Callable[..., Viewer], run_folder: Path, tmp_path: Path
) -> Callable[..., tuple[Viewer, AnalyzeDock]]:
    """Open a slide through the manifest in a window that is shown, with the Analyze dock set to the stand-in."""

    def build(*slides: Path) -> tuple[Viewer, AnalyzeDock]:
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1400, 900)
        for slide in slides:
            viewer.open(str(slide), plugin="napari-sam-mil")
        _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Analyze")
        dock.choices_card.set_project(tmp_path / "project")
        dock.choices_card.set_classifier(run_folder)
        return viewer, dock

    return build
