"""Outlines to which the tissue is limited, typed and chosen in the Analyze dock."""

from __future__ import annotations

import shutil

import pytest
import shapely
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_sam_mil.analysis.model import Choices
from napari_sam_mil.session.viewer import sessions_of
from napari_sam_mil.widgets.analyze.limits_card import LimitsCard
from sam_mil_engine.annotations.geojson import write_geojson
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.process.recorded import recorded_settings

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def outlines(tmp_path, monkeypatch):
    """A folder with outlines of the slide, which the file dialog returns."""
    folder = tmp_path / "outlines"
    folder.mkdir()
    areas = {"Region": shapely.box(0, 0, 500, 768), "Pen": shapely.box(0, 0, 1024, 380)}
    found = [Annotation(name, name, shapely.MultiPolygon([area])) for name, area in areas.items()]
    write_geojson(folder / "finished.geojson", found, info=None)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    return folder


def find_tissue(qtbot, viewer, dock):
    qtbot.mouseClick(dock.steps["Tissue"], LEFT)
    assert dock.job is not None, "the click starts a job"
    with qtbot.waitSignal(dock.job.ended):
        pass
    return sessions_of(viewer).current.analysis.processed.tissue.bounds_px0


def retype(qtbot, field, text):
    field.setFocus()
    field.selectAll()
    qtbot.keyClick(field, Qt.Key.Key_Backspace)
    qtbot.keyClicks(field, text)


def test_tissue_is_limited_by_classes_that_are_typed_and_the_project_remembers_them(
    qtbot, open_dock, processed, outlines, tmp_path
):
    project = tmp_path / "own"
    shutil.copytree(processed[1], project)
    viewer, dock = open_dock(processed[0])
    dock.choices_card.set_project(project)
    qtbot.mouseClick(dock.fold.line, LEFT)
    card = dock.limits_card
    whole = find_tissue(qtbot, viewer, dock)
    retype(qtbot, card.only_inside.line, "Region")
    qtbot.mouseClick(dock.steps["Tissue"], LEFT)
    assert dock.job is None, "there is no folder of outlines yet, which is said"
    qtbot.mouseClick(card.browse, LEFT)
    assert "only inside Region" in dock.fold.line.text()
    assert find_tissue(qtbot, viewer, dock)[2] <= 500 < whole[2]
    retype(qtbot, card.not_inside.line, "Pen, Ink")
    limited = find_tissue(qtbot, viewer, dock)
    assert limited[1] >= 380 > whole[1]
    assert limited[2] <= 500
    recorded = recorded_settings(project)
    assert (recorded.only_inside, recorded.not_inside) == (("Region",), ("Pen", "Ink"))
    assert recorded.annotations == str(outlines)
    later = LimitsCard()
    qtbot.addWidget(later)
    later.show_project(project)
    assert later.summary() == "only inside Region, not inside Pen or Ink"
    choices = Choices(project=project)
    assert later.applied_to(choices) is choices, "the project has these limits"
    for field in (card.only_inside, card.not_inside):
        retype(qtbot, field.line, "")
    assert find_tissue(qtbot, viewer, dock) == whole
    assert recorded_settings(project).annotations is None


def test_a_class_that_the_file_lacks_is_told_with_those_that_it_has(
    qtbot, open_dock, processed, outlines, tmp_path
):
    viewer, dock = open_dock(processed[0])
    dock.choices_card.set_project(tmp_path / "new")
    dock.limits_card.set_outlines(outlines)
    qtbot.mouseClick(dock.fold.line, LEFT)
    retype(qtbot, dock.limits_card.only_inside.line, "Tumor")
    qtbot.mouseClick(dock.steps["Tissue"], LEFT)
    with qtbot.waitSignal(dock.job.failed) as failed:
        pass
    assert "no outline of Tumor; its classes are Pen, Region" in str(failed.args[0])
    assert sessions_of(viewer).current.analysis is None


def names_in(field):
    return [action.text() for action in field.choose.menu().actions()]


def pick(field, name):
    field.choose.menu().aboutToShow.emit()
    next(action for action in field.choose.menu().actions() if action.text() == name).trigger()


def test_classes_are_chosen_from_those_of_the_folder(qtbot, outlines, tmp_path):
    card = LimitsCard()
    qtbot.addWidget(card)
    assert not card.only_inside.choose.isEnabled()
    (outlines / "damaged.geojson").write_text("{")
    with qtbot.waitSignal(card.changed):
        qtbot.mouseClick(card.browse, LEFT)
    qtbot.waitUntil(lambda: names_in(card.only_inside) == ["Pen", "Region"])
    pick(card.only_inside, "Region")
    card.not_inside.set_classes(["Ink", "pen"])
    pick(card.not_inside, "Pen")
    assert card.summary() == "only inside Region, not inside Ink"
    pick(card.not_inside, "Pen")
    assert card.not_inside.classes() == ("Ink", "Pen")
    pick(card.only_inside, "Region")
    assert card.only_inside.classes() == ()
    card.set_outlines(tmp_path / "missing")
    qtbot.waitUntil(lambda: names_in(card.only_inside) == [])
    assert not card.not_inside.choose.isEnabled(), "the step that needs the folder says that it is missing"
