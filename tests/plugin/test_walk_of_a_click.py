"""The way of *Segment/Classify* from the button to the layers, as CONTRIBUTING tells it."""

from __future__ import annotations

import io
import os
import pickle
import sys

from qtpy.QtCore import Qt

from contributing import Walk, section
from napari_sam_mil.analysis.model import Choices
from napari_sam_mil.analysis.run import analyse_without_arrays
from napari_sam_mil.analysis.source import SlideSource
from napari_sam_mil.background.worker_main import _Server
from sam_mil_engine.slide.reader import open_slide
from traces import traced

IN_THE_WINDOW, IN_THE_WORKER = section("## The walk of a click").split("In the worker process")


def test_a_click_walks_as_contributing_says(qtbot, open_dock, tiny_slide):
    _, dock = open_dock(tiny_slide)
    with traced() as trace:
        qtbot.mouseClick(dock.button, Qt.MouseButton.LeftButton)
        with qtbot.waitSignal(dock.job.ended):
            pass
    Walk(IN_THE_WINDOW, "napari_sam_mil").check(trace)


def test_the_worker_walks_as_contributing_says(run_folder, tiny_slide, tmp_path):
    with open_slide(tiny_slide) as slide:
        facts = SlideSource(slide).facts
    choices = Choices(classifier=str(run_folder), project=tmp_path / "project")
    call = pickle.dumps((analyse_without_arrays, (facts, choices), {"step": "Classify"}))
    told = io.BytesIO()
    server = _Server(io.BytesIO(), told)
    with traced() as trace:
        server._answer(call, dict(os.environ), list(sys.path))
    told.seek(0)
    answers = []
    while told.tell() < len(told.getvalue()):
        answers.append(pickle.load(told))
    assert answers[-1][0] == "returned", answers[-1]
    Walk(IN_THE_WORKER, "napari_sam_mil").check(trace)
