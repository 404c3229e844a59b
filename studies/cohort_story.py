"""The cohort of docs/cohorts.md on generated slides, with the commands of that page and default settings.

    python studies/cohort_story.py FOLDER

makes sixteen slides of eight patients in FOLDER, runs the commands, and writes ``studies/cohort_story.md``. Four
slides are of a second scanner, which does not write its resolution; one has a stroke of pen; the tissue of one is
given as a mask, that of another is corrected after the first run.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import spoiling
import tifffile
from shapely.geometry import shape

from sam_mil_engine.annotations.masks import tissue_area
from sam_mil_engine.bag import h5
from sam_mil_engine.synthetic import make_slide
from sam_mil_engine.synthetic.pyramid import write_pyramid

HERE = Path(__file__).resolve().parent
PATIENTS = "ABCDEFGH"
#: The second scanner: its µm per pixel, and its slides.
FINE, FINE_SLIDES = 0.4, ("A-2", "B-2", "C-2", "D-2")
PEN, MASKED, CORRECTED = "E-1", "B-1", "A-2"
PROCESS = ("process", "--slides-table", "cohort.csv", "-o", "study", "--patch-size", "128", "--mpp", "0.5")
COMMANDS = (
    (*PROCESS, "--artefacts", "mark", "--stages", "tissue,tiles"),
    ("report", "study"),
    (*PROCESS, "--artefacts", "drop", "--tissue", "corrected"),
    ("train", "--bags", "study/bags", "--labels", "cohort.csv", "--model", "sam-mil", "-o", "study/runs/first"),
    ("report", "study/runs/first"),
)


def main(folder: Path) -> None:
    """Make the cohort, run the commands, and write the page."""
    make(folder)
    rows: list[str] = []
    before: dict[str, tuple[int, float]] = {}
    for number, command in enumerate(COMMANDS):
        if number == 2:
            before = state(folder)
            correct(folder)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "sam_mil_engine", *command], cwd=folder, check=True)
        rows.append(f"| `{' '.join(command)}` | {time.perf_counter() - start:.0f} s |")
    (HERE / "cohort_story.md").write_text(page(folder, rows, before, state(folder)), encoding="utf-8")


def make(folder: Path) -> None:
    """Draw the slides, and write the table and the mask of one slide."""
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    table = [["path", "slide_id", "mpp", "preset", "tissue", "label", "patient_id"]]
    for number in range(2 * len(PATIENTS)):
        patient = PATIENTS[number // 2]
        name, path = f"{patient}-{1 + number % 2}", folder / "scans" / f"{17 + number:04d}.tif"
        tumour, fine = number // 2 % 2 == 0, name in FINE_SLIDES
        slide = make_slide(path, seed=number, tumour=tumour, mpp=FINE if fine else 0.5)
        if name == PEN:
            draw_pen(path)
        if fine:
            forget_resolution(path)
        if name == MASKED:
            mask = np.zeros((slide.size_px0[1] // 8, slide.size_px0[0] // 8), np.uint8)
            outlines = [
                np.round(np.array(one.exterior.coords) / 8).astype(np.int32) for one in slide.tissue_polygons
            ]
            cv2.imwrite(str(folder / "masks" / f"{name}.png"), cv2.fillPoly(mask, outlines, 255))
        tissue = f"masks/{name}.png" if name == MASKED else ""
        mpp = f"{FINE}" if fine else ""
        table.append([f"scans/{path.name}", name, mpp, "", tissue, slide.label, patient])
    with (folder / "cohort.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(table)


def draw_pen(path: Path) -> None:
    """Draw a stroke of blue pen over a slide."""
    image = tifffile.imread(path, key=0)
    mask = spoiling.line(image.shape, spoiling.STROKE_UM, um=0.5)
    image[mask] = np.round(0.85 * np.array(spoiling.PENS["blue"]) + 0.15 * image[mask]).astype(np.uint8)
    write_pyramid(path, image, mpp=0.5, description="generated, with pen")


def forget_resolution(path: Path) -> None:
    """Take the resolution out of a file."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        for one in file.pages:
            one.tags["ResolutionUnit"].overwrite(1)


def correct(folder: Path) -> None:
    """Take the smallest piece off the tissue of one slide, as a person does in QuPath."""
    content = json.loads((folder / "study" / "masks" / f"{CORRECTED}.geojson").read_text(encoding="utf-8"))
    pieces = sorted(content["features"], key=lambda one: -shape(one["geometry"]).area)
    (folder / "corrected").mkdir(exist_ok=True)
    kept = {"type": "FeatureCollection", "features": pieces[:-1]}
    (folder / "corrected" / f"{CORRECTED}.geojson").write_text(json.dumps(kept), encoding="utf-8")


def state(folder: Path) -> dict[str, tuple[int, float]]:
    """Slide -> number of its patches, and area of its tissue in mm²."""
    found = {}
    for path in sorted((folder / "study" / "bags").glob("*.h5")):
        mpp = h5.read_attributes(path)["mpp"]
        area = float(tissue_area(h5.read_tissue(path)).area)
        found[path.stem] = (len(h5.read_grid(path)), area * mpp[0] * mpp[1] / 1e6)
    return found


def page(
    folder: Path, rows: list[str], before: dict[str, tuple[int, float]], after: dict[str, tuple[int, float]]
) -> str:
    """Return the page."""
    run = folder / "study" / "runs" / "first"
    with (run / "predictions.csv").open(newline="", encoding="utf-8") as file:
        tested = [row for row in csv.DictReader(file) if row["split"] == "test"]
    fold = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["folds"][0]
    right = sum(row["label"] == row["predicted"] for row in tested)
    # the correction takes patches too, so that slide says nothing of the artefacts
    clean = {name: (before[name][0], after[name][0]) for name in before if name not in (PEN, CORRECTED)}
    lost = {name: 1 - now / then for name, (then, now) in clean.items()}
    groups = {"second scanner": [name for name in clean if name in FINE_SLIDES]}
    groups["first scanner"] = [name for name in clean if name not in FINE_SLIDES]
    parts = {
        title: 1 - sum(clean[name][1] for name in names) / sum(clean[name][0] for name in names)
        for title, names in groups.items()
    }
    worst = max(lost, key=lambda name: lost[name])
    area = [state[CORRECTED][1] for state in (before, after)]
    return PAGE.format(
        rows="\n".join(rows),
        patches=sum(count for count, _ in after.values()),
        pen=f"{before[PEN][0]} patches before, {after[PEN][0]} after",
        first=parts["first scanner"],
        second=parts["second scanner"],
        worst=worst,
        most=lost[worst],
        corrected=f"{area[0]:.2f} to {area[1]:.2f} mm²",
        epochs=fold["epochs"],
        best=fold["best_epoch"],
        tested=len(tested),
        patients=len({row["patient_id"] for row in tested}),
        right=right,
        auc=fold["test"]["auc"],
        scores=", ".join(f"{row['slide_id']} {float(row['p_tumour']):.3f}" for row in tested),
    )


PAGE = """# The cohort of docs/cohorts.md, run as it stands

`python studies/cohort_story.py FOLDER` writes this page: sixteen generated slides of 4,096 x 3,072 px of eight
patients (four of each class), with the default segmenter, encoder and epochs. Seconds on two cores that were shared
with other work.

| command | time |
|---|---|
{rows}

| what | result |
|---|---|
| patches that were encoded | {patches} |
| the slide with a stroke of blue pen | {pen} |
| patches that `drop` took from slides without an artefact, first scanner (0.5 µm) | {first:.1%} |
| the same, second scanner (0.4 µm) | {second:.1%} |
| the most on one slide | {most:.1%} ({worst}) |
| tissue of the corrected slide | {corrected} |
| training | stopped after {epochs} epochs; epoch {best} is kept |
| test slides | {tested} of {patients} patients, {right} right, AUC {auc:.3f} |
| their tumour probability | {scores} |

What this shows: the commands fit together, and slides of one patient stay on one side of the split. What it does
not: generated tumour is easy, and so few test slides prove nothing about a model. Most of what `drop` took without
need is called blurred: generated stroma is smooth. Look at a cohort with `mark` first.
"""

if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
