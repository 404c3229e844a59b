"""SAM-MIL with other segments: the same slides, features, recipe and seeds; only the segments differ.

    .venv/bin/python training/lymph_node/segments.py WORK_FOLDER [--arms ...] [--seeds ...] [--table FILE]

WORK_FOLDER is that of `compose.py`; its files stay as they are. Bags and runs go into WORK_FOLDER/segments.
Finished bags are kept, a run goes on at its last full epoch, and further seeds are added to those that are there.
With ``--table`` every finished run is measured on validation and test slides, and the table written.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from compose import PROCESS
from groupings import grid_groups, shuffled
from train import TRAIN

from sam_mil_engine.bag import h5
from sam_mil_engine.files import atomic_write
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.image import segmentation_image
from sam_mil_engine.segment.loading import load_segmenter
from sam_mil_engine.segment.membership import assign_groups
from sam_mil_engine.segment.parts import parts_of
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.settings import FORMER_PARTS, ModelSettings, SegmentSettings
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.training.loop import train

#: The arm of the bags that `compose.py` makes.
COMPOSED = "stain-regions-32"
_FORMER: dict[str, Any] = {"superpixels": FORMER_PARTS[0], "cuts": FORMER_PARTS[1]}
#: Arm -> its segments: the first default of all, those of `compose.py`, and embedded segmenters as by default.
SEGMENTS: dict[str, SegmentSettings] = {
    "regions-32": SegmentSettings(segmenter="regions", **_FORMER),
    COMPOSED: PROCESS.segments,
    "stain-regions-64": SegmentSettings(segmenter="stain-regions"),
    "tissue-regions-32": SegmentSettings(segmenter="tissue-regions", **_FORMER),
    "tissue-regions-64": SegmentSettings(segmenter="tissue-regions"),
    "tissue-sam": SegmentSettings(segmenter="tissue-sam"),
}
#: What follows an arm's name where the patches of each slide are shuffled among its segments.
SHUFFLED = "-shuffled"
#: Squares of patches, as many as the default's cuts have regions, and AB-MIL with pseudo-bags.
GRID, NONE = "grid", "no groups"
ARMS = (*(name + kind for name in SEGMENTS for kind in ("", SHUFFLED)), GRID, NONE)
SEEDS = tuple(range(1, 11))
#: SAM-MIL as it is by default, at the width of `train.py`.
MODEL = ModelSettings(name="sam-mil", hidden=256)


def bags_of(work: Path, arm: str) -> Path:
    """Folder of the bags of an arm."""
    return work / "project" / "bags" if arm in (COMPOSED, NONE) else work / "segments" / arm / "bags"


def run_of(work: Path, arm: str, seed: int) -> Path:
    """Folder of one run."""
    return work / "segments" / "runs" / f"{arm.replace(' ', '-')}-{seed}"


def make_bags(work: Path, arm: str) -> Path:
    """Write the bags of an arm that are not there yet: those of the cohort with other segments and groups."""
    folder, name = bags_of(work, arm), arm.removesuffix(SHUFFLED)
    if arm in (COMPOSED, NONE):
        return folder
    source = bags_of(work, COMPOSED) if name == arm else make_bags(work, name)
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sorted(source.glob("*.h5"))):
        target, temporary = folder / path.name, folder / f"{path.name}.part"
        if target.exists():
            continue
        shutil.copy(path, temporary)
        if arm in SEGMENTS:
            segments, groups = segment(work / "slides" / f"{path.stem}.tiff", path, SEGMENTS[arm])
            put(temporary, segments, groups, SEGMENTS[arm])
        else:
            bag = h5.read_bag(path)
            groups = grid_groups(bag, SegmentSettings().cuts) if arm == GRID else shuffled(bag.groups, number)
            with h5.edit_bag(temporary, drop=("groups",)) as file:
                h5.put_groups(file, bag.with_groups(groups), h5.read_segments(path))
        temporary.rename(target)
    return folder


def segment(slide_path: Path, bag_path: Path, settings: SegmentSettings) -> tuple[Segments, Groups]:
    """Segments of a slide and the groups of its bag's patches, as `process` finds them."""
    bag, grid, tissue = h5.read_bag(bag_path), h5.read_grid(bag_path), h5.read_tissue(bag_path)
    segmenter = load_segmenter(settings.segmenter, settings=settings, device="cpu")
    with open_slide(slide_path) as slide:
        segments, mpp = segmenter.segment(segmentation_image(slide, tissue, settings)), slide.info.mpp
    groups = assign_groups(segments, bag.coords_px0, grid.size_px0, rule=PROCESS.groups.rule, mpp=mpp)
    return segments, groups


def put(path: Path, segments: Segments, groups: Groups, settings: SegmentSettings) -> None:
    """Write segments and groups into a bag in the place of those that are there."""
    name, bag = settings.segmenter, h5.read_bag(path)
    version = load_segmenter(name, settings=settings, device="cpu").version
    with h5.edit_bag(path, drop=("segments", "groups")) as file:
        h5.put_segments(file, segments, segmenter=name, version=version, parts=parts_of(name, settings))
        h5.put_groups(file, bag.with_groups(groups), segments)


def train_arm(work: Path, arm: str, seed: int) -> float:
    """Train one arm with one seed on the cohort's own split and return its validation AUC."""
    run = run_of(work, arm, seed)
    without = {"groups": False, "mask": "none"} if arm == NONE else {}
    settings = TRAIN.model_copy(update={"seed": seed, "model": MODEL.model_copy(update=without)})
    result = train(bags_of(work, arm), work / "labels.csv", run, settings=settings, resume=run.exists())
    return float(result.folds[0]["val"]["auc"])


def finished(work: Path, arm: str) -> dict[int, float]:
    """Seed -> validation AUC of the finished runs of an arm; runs are read, not begun again."""
    pattern = run_of(work, arm, 0).name.removesuffix("0") + "*"
    found = {}
    for path in sorted(run_of(work, arm, 0).parent.glob(f"{pattern}/metrics.json")):
        number = path.parent.name.rpartition("-")[2]
        if run_of(work, arm, int(number)) == path.parent:
            found[int(number)] = float(json.loads(path.read_text())["folds"][0]["val"]["auc"])
    return found


def main(work: Path, arms: list[str], seeds: list[int], table: Path | None) -> None:
    for arm in arms:
        print(arm, make_bags(work, arm), flush=True)
    for seed in seeds:
        for arm in arms:
            print(arm, seed, train_arm(work, arm, seed), flush=True)
    if table is not None:
        from segments_table import table_text

        atomic_write(table, table_text(work))
        print(table.read_text())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=ARMS)
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS)
    parser.add_argument("--table", type=Path, help="write the table into this file")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    main(chosen.work, list(chosen.arms), list(chosen.seeds), chosen.table)
