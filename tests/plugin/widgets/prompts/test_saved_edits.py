"""Segments edited in the Prompts dock and saved: there after a restart, and on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt

from napari_sam_mil.session.viewer import sessions_of
from sam_mil_engine.bag import h5

LEFT = Qt.MouseButton.LeftButton


def analyze(qtbot, dock):
    qtbot.mouseClick(dock.button, LEFT)
    with qtbot.waitSignal(dock.job.ended):
        pass


def choose(qtbot, rows, place, keys=Qt.KeyboardModifier.NoModifier):
    qtbot.mouseClick(rows.viewport(), LEFT, keys, rows.visualItemRect(rows.item(place)).center())


def test_saved_edits_survive_a_restart_and_the_command_line_reads_them(
    qtbot, open_dock, tiny_slide, run_folder, tmp_path
):
    viewer, dock = open_dock(tiny_slide)
    analyze(qtbot, dock)
    session = sessions_of(viewer).current
    original, path = session.analysis, session.analysis.processed.bag_path
    before = len(original.processed.segments)
    _, prompts = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Prompts")
    card, rows = prompts.segments, prompts.segments.list
    assert not card.save.isEnabled(), "nothing is edited"
    choose(qtbot, rows, 0)
    choose(qtbot, rows, 1, Qt.KeyboardModifier.ControlModifier)
    qtbot.mouseClick(card.delete, LEFT)
    qtbot.waitUntil(lambda: len(session.analysis.processed.segments) == before - 2)
    choose(qtbot, rows, 0)
    qtbot.mouseClick(card.rename, LEFT)
    editor = rows.findChild(type(viewer.window._qt_window.focusWidget()))
    qtbot.keyClicks(editor, "gland")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: session.analysis.names[-1:] == ("gland",))
    qtbot.mouseClick(card.save, LEFT)
    qtbot.waitUntil(lambda: card._said.text().startswith("Saved in tiny.h5"))
    edited = session.analysis
    assert not card.save.isEnabled(), "all is saved"
    # what the segmenter had found is kept, once
    (kept,) = (tmp_path / "project" / "superseded").rglob("tiny.h5")
    assert len(h5.read_segments(kept)) == before
    qtbot.mouseClick(card.undo, LEFT)
    qtbot.mouseClick(card.save, LEFT)
    qtbot.waitUntil(lambda: not prompts.editor.busy)
    assert len(h5.read_segments(kept)) == before
    assert len(h5.read_segments(path)) == before
    session.analysis = edited
    prompts.edits.save()
    qtbot.waitUntil(lambda: not prompts.editor.busy)

    again, dock = open_dock(tiny_slide)
    analyze(qtbot, dock)
    back = sessions_of(again).current.analysis
    assert len(back.processed.reused) == 5, "the edited segments count as done"
    assert back.names[-1] == "gland"
    assert list(again.layers["segments (tissue-regions)"].features["name"])[-1] == "gland"
    for number in range(before - 2):
        np.testing.assert_array_equal(back.processed.segments.mask(number), edited.processed.segments.mask(number))
    np.testing.assert_allclose(back.scores.probabilities, edited.scores.probabilities, atol=1e-6)

    command = [str(Path(sys.executable).with_name("sam-mil-engine")), "predict", str(run_folder), str(path)]
    done = subprocess.run([*command, "-o", str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outlines = json.loads((tmp_path / "out" / "tiny.groups.geojson").read_text())
    assert len(outlines["features"]) == len(edited.processed.bag.groups)
