"""Figure 6 of three slides before and after calibration: patches marked at 0.5 raw, and at the operating point.

    .venv/bin/python studies/figure6.py DEMO_FOLDER IMAGE

DEMO_FOLDER is what `sam-mil-engine demo -o DEMO_FOLDER` made: all slides are generated. Takes the first two test
slides with tumour and the first normal one, draws what the model of the demonstration marks in them, and writes
IMAGE (.png); prints how much of each slide is marked and how much of that is tumour.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import shapely
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sam_mil_engine.annotations.model import polygons_of
from sam_mil_engine.annotations.patches import patch_inside
from sam_mil_engine.annotations.reading import read_annotations
from sam_mil_engine.bag.h5 import read_bag, read_grid
from sam_mil_engine.drawing.colours import ANNOTATION, POSITIVE, css
from sam_mil_engine.drawing.images import RgbImage, draw_outlines, draw_patches, soften
from sam_mil_engine.prediction.slide import predict
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.training.checkpoint import TrainedModel, load_model
from sam_mil_engine.training.run_files import read_run

SIDE = 900  # pixels of the longest side of a slide in the image


def panels(folder: Path, name: str, model: TrainedModel) -> list[tuple[RgbImage, str]]:
    """Return the slide as the raw and as the calibrated model mark it, each with its numbers."""
    bag_file = folder / "project" / "bags" / f"{name}.h5"
    bag, size = read_bag(bag_file), read_grid(bag_file).size_px0
    with open_slide(folder / "slides" / f"{name}.tiff") as slide:
        image, frame = slide.read_image(max_side=SIDE)
        file = folder / "annotations" / f"{name}.geojson"
        areas = [one.polygon for one in read_annotations(file, info=slide.info)] if file.exists() else []
    inside = patch_inside(bag.coords_px0, size, areas) >= 0.5 if areas else np.zeros(len(bag), bool)
    drawn = []
    for used in (replace(model, calibration=None), model):
        scores = predict(used, bag)
        p = scores.patch_probability[:, 1]
        marked = p >= (0.5 if used.calibration is None else scores.patch_threshold(1))
        found = draw_patches(soften(image), frame, bag.coords_px0[marked], size, colour=POSITIVE)
        found = draw_outlines(found, frame, rings_of(areas), colour=ANNOTATION, width=3)
        text = f"{marked.sum()} of {len(bag)} patches marked"
        if inside.any():
            text += f", {(marked & inside).sum()} of {inside.sum()} tumour patches"
        print(f"{name}, {scores.calibrated}: {text}")
        drawn.append((found, text))
    return drawn


def rings_of(areas: list[shapely.Geometry]) -> list[tuple[np.ndarray, tuple[np.ndarray, ...]]]:
    """Return the polygons of areas as rings of corners."""
    return [
        (np.asarray(one.exterior.coords), tuple(np.asarray(hole.coords) for hole in one.interiors))
        for area in areas
        for one in polygons_of(area)
    ]


def main(folder: Path, target: Path) -> None:
    run = read_run(folder / "project" / "runs" / "sam-mil")
    test = run.predictions[run.predictions["split"] == "test"]
    tumours, normals = (list(test.loc[test["label"] == label, "slide_id"]) for label in ("tumour", "normal"))
    names = [*tumours[:2], normals[0]]
    model = load_model(run.model_dir, device="cpu")
    figure, axes = plt.subplots(2, len(names), figsize=(10, 5.9), layout="constrained")
    for column, name in enumerate(names):
        for row, (image, text) in enumerate(panels(folder, name, model)):
            axes[row, column].imshow(image)
            axes[row, column].set(xticks=[], yticks=[])
            axes[row, column].set_xlabel(text, fontsize=7.5)
        axes[0, column].set_title(f"{'tumour' if name in tumours else 'normal'} slide", fontsize=9)
    axes[0, 0].set_ylabel("raw probability ≥ 0.5", fontsize=9)
    axes[1, 0].set_ylabel("calibrated, operating point", fontsize=9)
    key = [
        Patch(color=css(POSITIVE), alpha=0.6, label="marked patches"),
        Line2D([], [], color=css(ANNOTATION), label="outline of the tumour"),
    ]
    figure.legend(handles=key, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.savefig(target, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
