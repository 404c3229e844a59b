"""Compare segmenters on real annotated images, and write ``evaluation.md``.

    .venv/bin/python training/tissue_sam/evaluate.py WORK --data DATA [--weights NAME=FILE ...] [--only SET ...]

Figures that are in WORK already are not made again; they are one CSV file a set of images and model. ``--weights``
adds a tissue-sam, or a checkpoint of one of Meta's SAMs or of MobileSAM; the bundled tissue-sam is always there.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import pandas as pd
import torch
from automatic_masks import figures
from candidates import Segment, asked_of, merged_by, untrained, whole
from decision import decision_text
from examples import TESTS, VALIDATION, Example
from prompted import ask
from rivals import Masks, Model, Rival, Trivial, felzenszwalb_masks, masks_on_tissue
from safetensors.torch import load_file
from segment_anything.modeling import Sam
from table import evaluation_text

from sam_mil_engine.features.efficientnet_lite0 import classifier
from sam_mil_engine.segment.automatic import build_segmenter
from sam_mil_engine.segment.named_sams import load_named_sam
from sam_mil_engine.segment.predictor import SamPrompter
from sam_mil_engine.segment.regions import RegionSegmenter, StainRegionSegmenter
from sam_mil_engine.segment.tissue_sam.bundle import NAME, folder, with_bundled_thresholds
from sam_mil_engine.segment.tissue_sam.encoder import Trunk
from sam_mil_engine.segment.tissue_sam.model import build_tissue_sam
from sam_mil_engine.settings import SegmentSettings

#: Radii of discs in pixels: the table shows the best of them on the very data, which flatters it.
RADII = (25, 50, 90)
#: Images of a set that are given to what takes seconds an image.
_SLOW = 4
#: Sets whose images are asked for by prompts.
PROMPTED = ("GlaS", "EBHI-Seg, held-out patients", "BCSS, half of the other region", "glomeruli", "CAMELYON crops")


def trivial_rivals() -> dict[str, Rival]:
    """Those that answer prompts without a model."""
    found: dict[str, Rival] = {
        "regions": Masks(masks_on_tissue(RegionSegmenter())),
        "stain-regions": Masks(masks_on_tissue(StainRegionSegmenter())),
        "Felzenszwalb, three scales": Masks(felzenszwalb_masks),
        "all of the image": Trivial(None),
        "ellipse in the box": Trivial(RADII[0], ellipse=True),
    }
    return found | {f"disc of {radius} px": Trivial(radius) for radius in RADII}


def read_tissue_sam(path: Path) -> tuple[Sam, SegmentSettings]:
    """A tissue-sam and the thresholds beside it."""
    sam = build_tissue_sam()
    sam.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    grid = path.with_name("grid.json")
    if not grid.exists():
        return sam, with_bundled_thresholds(SegmentSettings())
    return sam, SegmentSettings(**json.loads(grid.read_text()))


@dataclass(frozen=True, slots=True)
class Compared:
    """Candidates of one origin: quick ones, those that take seconds an image, and rivals for prompts."""

    quick: dict[str, Segment]
    slow: dict[str, Segment]
    rivals: dict[str, Rival]


def compared(name: str, path: str) -> Compared:
    """What a model makes of images, and how it answers prompts; without a path what needs no model."""
    if not path:
        return Compared(untrained(Trunk(classifier()).eval()), {}, trivial_rivals())
    if path.endswith(".safetensors"):
        sam, settings = read_tissue_sam(Path(path))
        return Compared(merged_by(name, sam), asked_of(name, sam, settings), {name: Model(SamPrompter(sam))})
    settings = SegmentSettings(points_per_side=16, crop_n_layers=0)
    segmenter = build_segmenter(name=path, settings=settings, device="cpu")
    rival = Model(SamPrompter(load_named_sam(path, device="cpu").sam))
    return Compared({}, {name: whole(segmenter)}, {name: rival})


def _quick(candidates: Callable[[], Compared], examples: Callable[[], list[Example]]) -> pd.DataFrame:
    return figures(candidates().quick, examples())


def _slow(candidates: Callable[[], Compared], examples: Callable[[], list[Example]]) -> pd.DataFrame:
    step = -(-len(examples()) // _SLOW)
    return figures(candidates().slow, examples()[::step])


def _prompts(candidates: Callable[[], Compared], examples: Callable[[], list[Example]]) -> pd.DataFrame:
    return ask(candidates().rivals, [(one.image.rgb, one.asked()) for one in examples()])


def _wanted(kind: str, name: str, path: str) -> bool:
    """Whether figures of a kind are made of a set: what is slow is not made to choose by."""
    return {"quick": True, "slow": bool(path) and name in TESTS, "prompts": name in PROMPTED}[kind]


_KINDS = {"quick": _quick, "slow": _slow, "prompts": _prompts}


def _kept(path: Path, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Read a table, or make and write it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        make().to_csv(temporary, index=False)
        temporary.rename(path)
        print("made", path.name, flush=True)
    return pd.read_csv(path)


def compare(
    work: Path, data: Path, weights: dict[str, str], only: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Figures of automatic masks and of prompts: of every set, candidate and image."""
    sets = TESTS | {f"validation: {name}": read for name, read in VALIDATION.items()}
    automatic, prompted = [], []
    for model, path in [("untrained", ""), *weights.items()]:
        candidates = cache(partial(compared, model, path))
        for name in only or sets:
            examples = cache(partial(sets[name], data))
            for kind, make in _KINDS.items():
                if not _wanted(kind, name, path):
                    continue
                stem = f"{model}-{zlib.crc32(name.encode()):08x}-{kind}"
                rows = _kept(work / f"{stem}.csv", partial(make, candidates, examples)).assign(set=name)
                (prompted if kind == "prompts" else automatic).append(rows)
    return pd.concat(automatic), pd.concat(prompted) if prompted else pd.DataFrame()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--only", nargs="*", default=[], metavar="SET")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "evaluation.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    weights = {NAME: str(folder() / "model.safetensors")} | dict(one.split("=", 1) for one in args.weights)
    automatic, prompted = compare(args.work, args.data, weights, args.only)
    told = args.work / "training.md"
    text = evaluation_text(
        automatic,
        prompted,
        decided=decision_text(prompted),
        told=told.read_text() if told.exists() else "",
    )
    args.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
