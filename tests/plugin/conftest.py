"""A trained stand-in and slides for the plugin's tests."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
import pytest
import tifffile
import torch
from by_hand import WAIT_S, undrawn
from napari.utils import _testsupport
from npe2 import PluginManager
from pytestqt.qtbot import QtBot
from shared_window import SharedWindow

from napari_sam_mil.analysis import models, prompting
from sam_mil_engine.progress import silent
from sam_mil_engine.synthetic import make_slide

# Before the first window: triton, which torchvision brings in, and Mesa's renderer each have an LLVM of their own.
# This process, unlike napari's, needs both, and the calls of the one that comes second would end in the first.
if find_spec("triton") is not None:
    import_module("triton")

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_sam_mil.analysis.model import Analysis
    from napari_sam_mil.widgets.analyze.dock import AnalyzeDock


class PatientBot(QtBot):
    """pytest-qt's waits, with the one limit of :data:`by_hand.WAIT_S` instead of five seconds."""

    def waitUntil(self, callback: Callable[[], bool | None], *, timeout: int = int(1000 * WAIT_S)) -> None:  # noqa: N802
        """Wait until something holds."""
        super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal: Any, *, timeout: int = int(1000 * WAIT_S), **options: Any) -> Any:  # noqa: N802
        """Wait for a signal."""
        return super().waitSignal(signal, timeout=timeout, **options)


@pytest.fixture
def qtbot(qapp: Any, request: pytest.FixtureRequest) -> PatientBot:
    """Stand in for pytest-qt's own fixture, which closes what is registered after the test all the same."""
    return PatientBot(request)


@pytest.fixture(autouse=True)
def quick_garbage_collection() -> None:
    """Leave what is in memory when a test begins, above all libraries, out of garbage collection.

    napari collects garbage at every removal of a layer and after every viewer, which took half of the time of these
    tests. A test that asks whether everything is freed begins with ``gc.unfreeze()``.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def plugins_found_once() -> Iterator[None]:
    """Each new window looks through all installed packages for plugins. None comes while the tests run."""
    real, known = PluginManager.discover, set[int]()

    def discover(manager: PluginManager, paths: Sequence[str] = (), **options: bool) -> int:
        if id(manager) in known and not paths and not options.get("clear"):
            return 0
        known.add(id(manager))
        return real(manager, paths, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManager, "discover", discover)
        yield


@pytest.fixture(scope="session")
def shared_window(qapp: Any) -> Iterator[SharedWindow]:
    """The window that tests use in turn."""
    window = SharedWindow()
    yield window
    window.close()


#: napari's own fixture.
own_napari_viewer = _testsupport.make_napari_viewer


@pytest.fixture
def make_napari_viewer(
    request: pytest.FixtureRequest, qtbot: QtBot, shared_window: SharedWindow, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Viewer]]:
    """Stand in for napari's own fixture: the first window of a test is the shared one.

    Any other is made by napari's fixture, as is the first with the mark ``own_window``. A window that is about to
    be closed does not draw each step of it.
    """
    own, lent = WeakSet[Any](), list[SharedWindow]()

    def build_own(**options: Any) -> Viewer:
        viewer = request.getfixturevalue("own_napari_viewer")(**options)
        own.add(viewer)
        return viewer

    def build(**options: Any) -> Viewer:
        if lent:
            return build_own(**options)
        lent.append(shared_window)
        return shared_window.lend(qtbot, show=options.get("show", False))

    if request.node.get_closest_marker("own_window") is not None:
        shared_window.close()  # napari's fixture forgets which commands and plugins napari knows
        request.getfixturevalue("own_napari_viewer")  # it puts napari's settings back before the test
        yield build_own
    else:
        monkeypatch.setattr("napari._qt.threads.status_checker.StatusChecker.start", lambda _self: None)
        with shared_window.as_application():
            yield build
    for viewer in own:
        if hasattr(viewer.window, "_qt_window"):  # else the test closed it
            viewer.window._qt_window.setUpdatesEnabled(False)
    passed = hasattr(request.node, "rep_call") and request.node.rep_call.passed
    for window in lent:
        window.take_back(keep=passed and not own)


@pytest.fixture(autouse=True)
def own_preferences(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Preferences of this test alone; napari slices at once, unless the test asks for ``in_background``."""
    monkeypatch.setattr("napari_sam_mil.preferences.user_config_path", lambda *_, **__: tmp_path / "config")
    if "in_background" not in request.fixturenames:
        monkeypatch.setattr("napari_sam_mil.opening._load_in_background", lambda _values: None)


@pytest.fixture
def in_background() -> None:
    """Opening a slide switches asynchronous slicing on, as it does where the plugin is installed."""


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts and models are worked on here, where a test can put a small SAM or another file in their place."""

    def call(function: Callable[..., Any], *args: Any, progress: Any = silent) -> Any:
        return function(*args, progress=progress)

    for module in (prompting, models):
        monkeypatch.setattr(module, "call_in_worker", call)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as ``train`` writes it, with weights that nobody trained: its numbers mean nothing."""
    from sam_mil_engine.mil.building import build_aggregator
    from sam_mil_engine.settings import ModelSettings
    from sam_mil_engine.training.checkpoint import TrainedModel, save_model
    from sam_mil_engine.training.expects import Expects

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


@pytest.fixture(scope="session")
def processed(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A slide and a project in which the stand-in's preprocessing of it is done."""
    from napari_sam_mil.analysis.model import Choices
    from napari_sam_mil.analysis.run import analyse
    from napari_sam_mil.analysis.source import SlideSource
    from sam_mil_engine.slide.reader import open_slide

    folder = tmp_path_factory.mktemp("processed")
    path = folder / "finished.tif"
    make_slide(path, seed=5, tumour=True, size_px0=(1024, 768), annotations=folder / "finished.geojson")
    with open_slide(path) as slide:
        analyse(SlideSource(slide), Choices(classifier=str(run_folder), project=folder / "project"))
    return path, folder / "project"


@pytest.fixture
def open_dock(
    make_napari_viewer: Callable[..., Viewer], run_folder: Path, tmp_path: Path
) -> Callable[..., tuple[Viewer, AnalyzeDock]]:
    """Open a slide through the manifest in a window that is shown, with the Analyze dock set to the stand-in."""

    def build(*slides: Path) -> tuple[Viewer, AnalyzeDock]:
        viewer = make_napari_viewer(show=True)
        with undrawn(viewer):
            viewer.window.resize(1000, 700)
            for slide in slides:
                viewer.open(str(slide), plugin="napari-sam-mil")
            _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Analyze")
            dock.choices_card.set_project(tmp_path / "project")
            dock.choices_card.set_classifier(run_folder)
        return viewer, dock

    return build


@pytest.fixture(scope="session")
def finished(run_folder: Path, processed: tuple[Path, Path]) -> Analysis:
    """What *Segment/Classify* finds on the slide of ``processed``."""
    from napari_sam_mil.analysis.model import Choices
    from napari_sam_mil.analysis.run import analyse
    from napari_sam_mil.analysis.source import SlideSource
    from sam_mil_engine.slide.reader import open_slide

    path, project = processed
    with open_slide(path) as slide:
        choices = Choices(classifier=str(run_folder), project=project)
        return analyse(SlideSource(slide).facts, choices, step="Classify")


@pytest.fixture
def analysed(make_napari_viewer, processed, finished):
    """A window with an analysed slide, and its session. A dock is opened by the test that needs one."""
    from napari_sam_mil.session.viewer import sessions_of

    viewer = make_napari_viewer(show=True)
    with undrawn(viewer):
        viewer.window.resize(1000, 700)
        viewer.open(str(processed[0]), plugin="napari-sam-mil")
        sessions = sessions_of(viewer)
        sessions.show(sessions.current, finished)
    viewer.layers.selection.active = sessions.current.layers["segments"]
    return viewer, sessions.current


@pytest.fixture
def groups(qtbot, analysed):
    """The window with the Segments dock, the segments selected as the layer."""
    from napari_sam_mil.docks import open_dock

    viewer, session = analysed
    dock = open_dock(viewer, "Segments")
    viewer.layers.selection.active = session.layers["segments"]
    viewer.reset_view()
    qtbot.wait(200)
    return viewer, session, dock, viewer.window._qt_viewer.canvas.native


@pytest.fixture
def annotations_dock(qtbot, analysed, processed, monkeypatch):
    """The Annotations dock of the analysed slide, with its outlines loaded by clicks."""
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QFileDialog

    viewer, session = analysed
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Annotations")
    path = processed[0].with_suffix(".geojson")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_args: (str(path), ""))
    qtbot.mouseClick(dock.outlines.load, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: session.agreement is not None)
    return dock


@pytest.fixture
def blank_slide(tmp_path: Path) -> Path:
    """A slide of white glass, 0.5 µm per pixel."""
    path = tmp_path / "blank.tiff"
    white = np.full((512, 512, 3), 244, np.uint8)
    tifffile.imwrite(path, white, tile=(128, 128), photometric="rgb", resolution=(20000, 20000), resolutionunit=3)
    return path


@pytest.fixture
def generated_slide(tmp_path: Path) -> Path:
    """A small synthetic slide with tumour; its outlines lie beside it as generated.geojson."""
    path = tmp_path / "generated.tif"
    make_slide(path, seed=5, tumour=True, size_px0=(1536, 1024), annotations=path.with_suffix(".geojson"))
    return path
