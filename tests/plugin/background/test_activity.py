"""Jobs in napari's activity panel."""

from __future__ import annotations

import threading

import pytest
from napari._qt.widgets.qt_progress_bar import QtLabeledProgressBar
from napari.utils.progress import cancelable_progress
from napari.utils.progress import progress as napari_progress
from qtpy.QtCore import Qt

from napari_sam_mil.background.activity import Activity
from napari_sam_mil.background.jobs import Job
from napari_sam_mil.napari_compat.spinner import SPINNER_SPEED
from sam_mil_engine.progress import Progress


@pytest.fixture
def panel(make_napari_viewer):
    return make_napari_viewer(show=True).window._qt_window._activity_dialog


def bars(panel):
    return [bar for bar in panel.findChildren(QtLabeledProgressBar) if not bar.isHidden()]


def test_a_long_job_shows_stage_and_share_and_its_cancel_button_stops_it(qtbot, panel):
    go_on = threading.Event()

    def work(report):
        report(Progress("segments", 1, 4, "masks"))
        while not go_on.wait(0.01):
            report(Progress("features", 30, 40, "tiles"))
        report(Progress("features", 40, 40, "tiles"))

    job = Job(work)
    Activity(job, "Segment/Classify")
    job.start()
    qtbot.waitUntil(lambda: bool(bars(panel)))
    (bar,) = bars(panel)
    qtbot.waitUntil(lambda: bar.description_label.text().startswith("Segment/Classify: features"))
    assert (bar.qt_progress_bar.value(), bar.qt_progress_bar.maximum()) == (30, 40)
    spinner = panel._toggleButton._inProgressIndicator.movie()
    assert spinner.speed() == SPINNER_SPEED, "it was found where napari has it"
    panel.show()
    with qtbot.waitSignal(job.cancelled):
        qtbot.mouseClick(bar.cancel_button, Qt.MouseButton.LeftButton)
    go_on.set()
    qtbot.waitUntil(lambda: not napari_progress._all_instances)


def test_a_job_that_is_over_at_once_is_not_shown(qtbot, panel):
    job = Job(lambda report: report(Progress("quick", 1, 1, "steps")))
    activity = Activity(job, "Quick")
    with qtbot.waitSignal(job.ended):
        job.start()
    assert activity._bar is None
    assert not activity._timer.isActive()


def test_cancel_is_heard_while_napari_creates_the_bar(qtbot, panel, monkeypatch):
    """napari processes events meanwhile, so that the button can be pressed before the bar is whole."""
    go_on, create = threading.Event(), cancelable_progress.__init__

    def create_and_press(self, *args, **words):
        create(self, *args, **words)
        self.cancel()

    def work(report):
        while not go_on.wait(0.01):
            report(Progress("segments", 1, 4, "masks"))

    monkeypatch.setattr(cancelable_progress, "__init__", create_and_press)
    job = Job(work)
    Activity(job, "Segment/Classify")
    with qtbot.waitSignal(job.cancelled):
        job.start()
    go_on.set()
    qtbot.waitUntil(lambda: not napari_progress._all_instances)
