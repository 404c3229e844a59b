"""Closing napari, and going to another slide, in the middle of the work: in every stage."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from by_hand import click, press, until

from napari_sam_mil import docks
from napari_sam_mil.analysis import run
from napari_sam_mil.layers.results import KINDS
from napari_sam_mil.session.viewer import sessions_of
from napari_sam_mil.widgets.analyze.progress_card import STAGE_NAMES

#: A whole program: napari opens a slide, begins, and is closed as soon as a stage reports.
PROGRAM = """
import sys
import napari
from qtpy.QtCore import QTimer
from napari_sam_mil.docks import open_dock

slide, project, stage = sys.argv[1:]
viewer = napari.Viewer()
viewer.open(slide, plugin="napari-sam-mil")
dock = open_dock(viewer, "Analyze")
dock.choices_card.set_project(__import__("pathlib").Path(project))
dock.button.click()
dock.job.progressed.connect(lambda progress: progress.stage == stage and viewer.window._qt_window.close())
QTimer.singleShot(400_000, lambda: sys.exit("the stage never came"))
napari.run()
print("closed")
"""


@pytest.fixture
def held(monkeypatch):
    """Hold the work at the first report of a stage until it is cancelled, or let go."""
    go_on = threading.Event()

    def hold(stage):
        there = threading.Event()
        real = run.analyse_in_worker

        def analyse(source, choices, *, step, progress):
            def report(item):
                progress(item)
                begins = item.stage == stage or (item.stage, item.message) == ("process", stage)
                if begins and not there.is_set():
                    there.set()
                    while not go_on.is_set():
                        progress(item)
                        time.sleep(0.02)

            return real(source, choices, step=step, progress=report)

        monkeypatch.setattr("napari_sam_mil.widgets.analyze.dock.analyse_in_worker", analyse)
        return there, go_on

    yield hold
    go_on.set()


def half_files(project):
    """What an interrupted writing would leave behind."""
    return [path for path in project.rglob("*") if path.suffix in {".part", ".tmp", ".partial"}]


@pytest.mark.own_window
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_closing_the_window_ends_every_stage_and_leaves_nothing_half(open_dock, tiny_slide, held, tmp_path, stage):
    viewer, dock = open_dock(tiny_slide)
    there, _ = held(stage)
    press(dock, "Segment/Classify")
    job = dock.job
    until(there.is_set, f"the stage {stage}")
    del dock
    ended = []
    job.cancelled.connect(lambda: ended.append("cancelled"))
    job.ended.connect(lambda: ended.append("ended"))
    viewer.close()
    until(lambda: ended, "the end of the work")
    assert ended == ["cancelled", "ended"]
    assert half_files(tmp_path / "project") == []


def test_the_program_ends_when_its_window_is_closed_in_the_middle(tiny_slide, tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tiny_slide), str(tmp_path / "project"), "features"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout.endswith("closed\n"), ended.stderr
    assert ended.returncode == 0
    for word in ("Traceback", "Segmentation", "QThread", "Destroyed while"):
        assert word not in ended.stderr
    assert half_files(tmp_path / "project") == []


def test_results_go_to_their_slide_wherever_the_user_went_meanwhile(
    open_dock, tiny_slide, processed, held, tmp_path
):
    viewer, dock = open_dock(tiny_slide, processed[0])
    first, second = sessions_of(viewer).all()
    there, go_on = held("features")
    viewer.layers.selection.active = first.layer
    press(dock, "Segment/Classify")
    until(there.is_set, "the middle of the work")
    viewer.layers.selection.active = second.layer
    assert "finished" in dock.slide_card._facts.text()
    go_on.set()
    until(lambda: dock.job is None, "the result")
    assert set(first.layers) == set(KINDS) - {"artefacts"}  # they are kept unless the settings say otherwise
    assert second.analysis is None
    assert second.layers == {}


def test_table_outlines_and_edits_belong_to_their_slide(open_dock, tiny_slide, processed):
    viewer, dock = open_dock(tiny_slide, processed[0])
    first, second = sessions_of(viewer).all()
    for session in (first, second):
        viewer.layers.selection.active = session.layer
        press(dock, "Segment/Classify")
        until(lambda: dock.job is None, "the result")
    notes, groups, prompts = (docks.open_dock(viewer, name) for name in ("Annotations", "Segments", "Prompts"))
    notes.load(processed[0].with_suffix(".geojson"))
    until(lambda: second.agreement is not None, "the agreement")
    count = len(second.analysis.processed.segments)
    assert groups.model.rowCount() == count
    rows = prompts.segments.list
    click(rows.viewport(), rows.visualItemRect(rows.item(0)).center())
    press(prompts, "Delete")
    until(lambda: len(second.analysis.processed.segments) == count - 1, "the edit")
    viewer.layers.selection.active = first.layer
    assert first.agreement is None
    assert "purity" not in first.table()
    assert groups.model.rowCount() == len(first.analysis.processed.segments)
    assert not prompts.segments.undo.isEnabled()
    assert not prompts.segments.save.isEnabled()
    assert notes.outlines._facts.text().startswith("Load a file")
    viewer.layers.selection.active = second.layer
    until(lambda: "purity" in second.table(), "the agreement of the edited segments")
    assert groups.model.rowCount() == count - 1
    assert prompts.segments.undo.isEnabled()
    assert notes.outlines._facts.text().endswith("tumour")
