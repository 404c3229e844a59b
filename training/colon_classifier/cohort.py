"""The cohort of composed slides: made, labelled, processed. What is finished is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from compose import MPP, SIDES, compose_slide, usual_stain
from tiles import divide

from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.settings import ProcessSettings, SegmentSettings, TileSettings

#: Changes whenever the slides change.
SEED = 31
SLIDES = {"train": 56, "val": 20, "test": 48}
#: Patches as large as a tile of LC25000, at its resolution.
PROCESS = ProcessSettings(
    tiles=TileSettings(patch_size=224, mpp=MPP),
    segments=SegmentSettings(segmenter="regions", superpixels=500, cuts=(4, 8, 16, 32)),
)


def make_cohort(
    work: Path,
    data: Path,
    *,
    slides: Mapping[str, int] = SLIDES,
    sides: tuple[tuple[int, int], tuple[int, int]] = SIDES,
) -> Path:
    """Compose the slides of every part, half of them with tumour, and return the path of ``labels.csv``.

    Parameters
    ----------
    data
        The folder ``lc25000_colon``.
    slides
        Part -> number of slides.
    sides
        Least and greatest width and height of a slide.
    """
    tiles = divide(data, seed=SEED)
    training = tiles[tiles["part"] == "train"]
    usual = usual_stain(training.drop_duplicates("group"))
    rows = []
    for position, (part, count) in enumerate(slides.items()):
        for number in range(count):
            name = f"colon-{part}-{number:03d}"
            row_file = work / "rows" / f"{name}.json"
            if not row_file.exists():
                row = compose_slide(
                    work / "slides" / f"{name}.tiff",
                    tiles[tiles["part"] == part],
                    tumour=number % 2 == 1,
                    seed=(SEED * 10 + position) * 1000 + number,
                    usual=usual,
                    annotations=work / "annotations" / f"{name}.geojson",
                    sides=sides,
                )
                row_file.parent.mkdir(parents=True, exist_ok=True)
                pd.Series(row).to_json(row_file)
            rows.append({**pd.read_json(row_file, typ="series").to_dict(), "split": part})
    labels = work / "labels.csv"
    pd.DataFrame(rows).to_csv(labels, index=False)
    return labels


def process_cohort(work: Path) -> Path:
    """Process every slide with the engine, and return the project folder."""
    project = work / "project"
    for outcome in process_slides(sorted((work / "slides").glob("*.tiff")), project, settings=PROCESS):
        if outcome.error is not None:
            raise outcome.error
        print(outcome.summary(), flush=True)
    return project
