"""The window's process never loads torch, whatever is done in the docks: a whole program, in the real window."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sam_mil_engine.synthetic import make_slide

HERE = Path(__file__).parent
PROGRAM = """
import sys
from pathlib import Path
import napari
from by_hand import LEFT, NONE, QTest, canvas, press, until
from napari_sam_mil.docks import open_dock
from napari_sam_mil.session.viewer import sessions_of

slide, outlines, project, run = (Path(argument) for argument in sys.argv[1:])
viewer = napari.Viewer()
viewer.open(str(slide), plugin="napari-sam-mil")
analyze = open_dock(viewer, "Analyze")
analyze.choices_card.set_project(project)
press(analyze, "Segment/Classify")
until(lambda: "evidence" in viewer.layers, "the result")
session = sessions_of(viewer).current

prompts = open_dock(viewer, "Prompts")
press(prompts, "+ Point")
until(lambda: len(session.regions) == 1 and not prompts.jobs.busy, "SAM looked at the view")
QTest.mouseClick(canvas(viewer), LEFT, NONE, canvas(viewer).rect().center())
until(lambda: "candidate" in viewer.layers, "SAM's answer")
assert len(session.regions) == 1, "the click needs no other look"
found = session.analysis
press(prompts, "Accept")
until(lambda: session.analysis is not found, "the accepted segment")
assert len(session.analysis.processed.segments) == len(found.processed.segments) + 1

until(lambda: not prompts.editor.busy, "the end of the edit")
press(prompts, "Save edits to the project")
until(lambda: session.on_disk is session.analysis, "the saved edit")

notes = open_dock(viewer, "Annotations")
notes.load(outlines)
until(lambda: session.agreement is not None, "the agreement")
press(notes, "Compare two classifiers…")
until(lambda: notes.comparison_dock is not None, "two classifiers")
groups = open_dock(viewer, "Segments")
groups.table.selectRow(0)
groups.save(project / "groups.csv")
figure = open_dock(viewer, "Figure")
figure.dpi.setValue(100)
figure.save(project / "figure.png")
until(lambda: (project / "figure.png").is_file() and not figure.jobs.busy, "the figure")
slides = open_dock(viewer, "Slides")
slides.show_folder(project)
until(lambda: slides.table.rowCount() == 1, "the slides of the project")

models = open_dock(viewer, "Models")
until(lambda: models.list.topLevelItemCount() == 3 and not models.jobs.busy, "the list of models")
models.import_run(run)
until(lambda: not models.jobs.busy and models.status.text().startswith("Imported"), "the imported run")
for group, name in ((0, "tissue-sam"), (2, run.name)):
    top = models.list.topLevelItem(group)
    rows = [top.child(row) for row in range(top.childCount())]
    models.list.setCurrentItem(next(row for row in rows if row.text(0) == name))
    press(models, "Verify")
    until(lambda: not models.jobs.busy and models.status.text().startswith(f"{name}: "), "the verdict")
viewer.close()
print("loaded:", sorted({"torch", "torchvision", "timm"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_no_dock_loads_torch_beside_the_window(run_folder: Path, tmp_path: Path) -> None:
    slide, outlines = tmp_path / "generated.tif", tmp_path / "generated.geojson"
    make_slide(slide, seed=5, tumour=True, size_px0=(1024, 768), annotations=outlines)
    homes = {name: str(tmp_path / name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    files = (slide, outlines, tmp_path / "project", run_folder)
    command = [sys.executable, "-c", PROGRAM, *map(str, files)]
    ended = subprocess.run(
        command,
        env=os.environ | homes | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "loaded: []"
