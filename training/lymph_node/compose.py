"""Compose the slides of the lymph-node cohort and process them into bags; what is finished is kept.

.venv/bin/python training/lymph_node/compose.py WORK_FOLDER --tiles pcam.zip
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from mosaic import PATCHES, compose_slide
from tiles import CLASSES, MPP, SIDE, read_pools

from sam_mil_engine.files import atomic_write
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.settings import ProcessSettings, SegmentSettings, TileSettings

#: Changes whenever the slides change.
SEED = 16
#: Part -> slides; half of them hold tumour.
SLIDES = {"train": 60, "val": 30, "test": 40}
SHORT_SLIDES, SHORT_PATCHES = {"train": 1, "val": 1, "test": 2}, (60, 90)
#: A patch is a tile; everything else as a slide is processed for a model by default.
PROCESS = ProcessSettings(
    tiles=TileSettings(patch_size=SIDE, mpp=MPP),
    segments=SegmentSettings(segmenter="stain-regions", superpixels=500, cuts=(4, 8, 16, 32)),
)


def make_cohort(
    work: Path,
    archive: Path,
    *,
    slides: Mapping[str, int] = SLIDES,
    patches: tuple[int, int] = PATCHES,
) -> Path:
    """Compose what is not there yet and return the path of ``labels.csv``.

    Its columns are slide_id, label, patches, tumour_patches, tumour_share, split.
    """
    pools = read_pools(archive)
    rows = []
    for position, (part, count) in enumerate(slides.items()):
        for number in range(count):
            name = f"node-{part}-{number:03d}"
            file = work / "rows" / f"{name}.json"
            if not file.exists():
                own = {label: pools[part, label] for label in CLASSES}
                seed = (SEED * 10 + position) * 1000 + number
                row = compose_slide(work, name, own, tumour=number % 2 == 1, seed=seed, patches=patches)
                atomic_write(file, json.dumps({**row, "split": part}))
            rows.append(json.loads(file.read_text()))
    labels = work / "labels.csv"
    pd.DataFrame(rows).to_csv(labels, index=False)
    return labels


def process_cohort(work: Path) -> Path:
    """Process every slide with the engine and return the project folder."""
    project = work / "project"
    slides = sorted((work / "slides").glob("*.tiff"))
    for result in process_slides(slides, project, settings=PROCESS, device="cpu", ahead=0):
        if result.error is not None:
            raise result.error
        print(result.summary(), flush=True)
    return project


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--tiles", type=Path, required=True, help="pcam.zip")
    parser.add_argument("--short", action="store_true", help="four small slides, for the tests")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    small = {"slides": SHORT_SLIDES, "patches": SHORT_PATCHES} if chosen.short else {}
    print(make_cohort(chosen.work, chosen.tiles, **small))
    process_cohort(chosen.work)
