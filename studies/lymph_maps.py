"""Which parts of SAM-MIL help on lymph node: consistency, mask and segments, at three sizes of slide.

    .venv/bin/python studies/lymph_maps.py WORK_FOLDER --data SHARED_DATA          # trains, validates, writes
    .venv/bin/python studies/lymph_maps.py WORK_FOLDER --data SHARED_DATA --test   # once, after the choice

SHARED_DATA holds `lymph_node/pcam.zip`. Every tile is embedded once; every seed composes new slides and draws new
weights, and all arms of a seed share both. A finished run is a line in WORK_FOLDER/runs.jsonl; what was stopped
goes on, and `--sizes` and `--seeds` let two processes share the work. `lymph_maps_text.py` makes lymph_maps.md of
the lines.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lymph_slides import WIDTH, Arrangement, Library, Slide, compose, read_library
from sklearn.metrics import average_precision_score, roc_auc_score

from sam_mil_engine.mil.aggregator import Aggregator, BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.masking import keep_random_patches
from sam_mil_engine.mil.patch_scores import patch_scores
from sam_mil_engine.mil.sam_mil import SamMil
from sam_mil_engine.settings import ModelSettings, TrainSettings
from sam_mil_engine.training.bag_store import Example
from sam_mil_engine.training.calibration import calibrate_patches
from sam_mil_engine.training.fitting import evaluate, fit, seeded

#: Patches of a slide -> seeds. Slides of 8,000 patches are dear: fewer seeds, and the arms of LARGE alone.
SIZES = {100: 10, 1000: 10, 8000: 3}
SLIDES = {"train": 40, "val": 30, "test": 40}
PARTS = tuple(SLIDES)
TRAIN = TrainSettings(epochs=14, learning_rate=3e-3, patience=4, min_epochs=10, device="cpu")
#: SAM-MIL without consistency: every other arm differs from it in one thing.
PLAIN = ModelSettings(
    name="sam-mil", hidden=64, attention=32, consistency_weight=0, consistency="variance", mask_area="raster"
)


@dataclass(frozen=True)
class Arm:
    """A model, the segments that it is given, and whether its mask removes as many patches at random instead."""

    model: ModelSettings
    segments: Arrangement = "true"
    same_number: bool = False


def _arm(segments: Arrangement = "true", *, same_number: bool = False, **changes: object) -> Arm:
    return Arm(PLAIN.model_copy(update=changes), segments, same_number)


#: Name -> arm; the first is what the others are compared with.
ARMS: dict[str, Arm] = {
    "off": _arm(),
    "variance 1,000": _arm(consistency_weight=1000.0),
    "variance 100,000": _arm(consistency_weight=1e5),
    "variance 1,000 as printed": _arm(consistency_weight=1000.0, consistency_patches=0),
    "released 10": _arm(consistency="released", consistency_weight=10.0),
    "released 100": _arm(consistency="released", consistency_weight=100.0),
    "released 1,000": _arm(consistency="released", consistency_weight=1000.0),
    "relative 0.01": _arm(consistency="relative", consistency_weight=0.01),
    "relative 0.1": _arm(consistency="relative", consistency_weight=0.1),
    "relative 1": _arm(consistency="relative", consistency_weight=1.0),
    "area in patches": _arm(mask_area="patches"),
    "random, as many as by pixels": _arm(same_number=True),
    "random, as many as by patches": _arm(mask_area="patches", same_number=True),
    "no mask": _arm(mask="none"),
    "segments shuffled": _arm("shuffled"),
    "squares of patches": _arm("grid"),
    "no group tokens": _arm(groups=False),
    "AB-MIL": _arm(groups=False, mask="none", pseudo_bags=0),
}
#: Arms at 8,000 patches.
LARGE = (
    "off", "variance 1,000", "variance 1,000 as printed", "released 1,000", "relative 0.1", "area in patches",
    "random, as many as by pixels", "segments shuffled", "squares of patches", "no group tokens",
)  # fmt: skip
Row = dict[str, Any]


class SameNumber(SamMil):
    """SAM-MIL that removes as many patches as its mask would, from anywhere."""

    def masked_bag(self, bag: BagTensors, n_tokens: int) -> torch.Tensor:
        removed = int((~super().masked_bag(bag, n_tokens)).sum())
        return keep_random_patches(
            bag, n_tokens, self.settings.model_copy(update={"mask_ratio": removed / len(bag)})
        )


def cohort(library: Library, part: str, size: int, seed: int) -> list[Slide]:
    """Slides of one part for one seed, every second one with tumour; no two seeds share a slide."""
    first = (seed * len(PARTS) + PARTS.index(part)) * 1_000_000 + size * 100
    return [
        compose(library, part, patches=size, tumour=number % 2 == 1, seed=first + number)
        for number in range(SLIDES[part])
    ]


def examples(slides: Sequence[Slide], arm: Arm) -> list[Example]:
    return [slide.example(arm.segments, seed=number) for number, slide in enumerate(slides)]


def build(arm: Arm) -> Aggregator:
    net = build_aggregator(arm.model, dim=WIDTH, n_classes=2)
    if not arm.same_number:
        return net
    own = SameNumber(arm.model, dim=WIDTH, n_classes=2)
    own.load_state_dict(net.state_dict())
    return own


def trained(slides: Mapping[str, Sequence[Slide]], arm: Arm, seed: int) -> tuple[Aggregator, Row]:
    """Train one arm; the row says how it went and what its patches are ranked by."""
    train, val = (examples(slides[part], arm) for part in ("train", "val"))
    with seeded(seed, torch.device("cpu")):
        net = build(arm)
        history = fit(net, train, val, settings=TRAIN.model_copy(update={"seed": seed}))
    fitted = calibrate_patches(net, val, ("normal", "tumour"), negative=0)
    terms = {name: history[-1][name] for name in history[-1] if name.startswith("train_")}
    return net, {"epochs": len(history), "weights": None if fitted is None else list(fitted.weights), **terms}


@torch.inference_mode()
def metrics(net: Aggregator, slides: Sequence[Slide], arm: Arm, weights: Sequence[float] | None) -> Row:
    """AUC of slides; AUC and average precision of patches, means over tumour slides, by the map and by attention.

    The map ranks by instance logit and attention as the engine's calibration on validation slides weighs them, by
    the instance logit alone where they could not be calibrated.
    """
    given = examples(slides, arm)
    found = evaluate(net, given)
    rows = []
    for slide, example in zip(slides, given, strict=True):
        if slide.positive:
            columns = patch_scores(net, net(example.bag), len(slide.inside), negative=0).double().numpy()
            rank = columns[:, 0] if weights is None else columns @ np.asarray(weights)
            own = slide.inside
            rows.append(
                (roc_auc_score(own, rank), average_precision_score(own, rank), roc_auc_score(own, columns[:, 1]))
            )
    patch, precision, attention = np.mean(rows, axis=0).tolist()
    return {
        "slide_auc": float(roc_auc_score(found.labels, found.probabilities[:, 1])),
        "loss": found.loss,
        "patch_auc": patch,
        "patch_ap": precision,
        "attention_auc": attention,
    }


def read_rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def add_row(path: Path, row: Row) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(row, flush=True)


def train_all(work: Path, library: Library, sizes: Sequence[int], seeds: Sequence[int]) -> None:
    """Train what is not there yet, seed after seed over all sizes, so that a stop leaves whole seeds."""
    path = work / "runs.jsonl"
    done = {(row["size"], row["seed"], row["arm"]) for row in read_rows(path)}
    (work / "models").mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for size in sizes:
            left = [name for name in arms_at(size) if (size, seed, name) not in done]
            if seed > SIZES[size] or not left:
                continue
            slides = {part: cohort(library, part, size, seed) for part in ("train", "val")}
            for name in left:
                net, row = trained(slides, ARMS[name], seed)
                torch.save(net.state_dict(), model_path(work, size, seed, name))
                known = {"size": size, "seed": seed, "arm": name}
                add_row(path, {**known, **row, **metrics(net, slides["val"], ARMS[name], row["weights"])})


def test_all(work: Path, library: Library, sizes: Sequence[int], seeds: Sequence[int]) -> None:
    """Test every run that is there, once."""
    path = work / "tests.jsonl"
    done = {(row["size"], row["seed"], row["arm"]) for row in read_rows(path)}
    rows = [row for row in read_rows(work / "runs.jsonl") if (row["size"], row["seed"], row["arm"]) not in done]
    cohorts = sorted({(row["size"], row["seed"]) for row in rows if row["size"] in sizes and row["seed"] in seeds})
    for size, seed in cohorts:
        slides = cohort(library, "test", size, seed)
        for row in rows:
            if (row["size"], row["seed"]) == (size, seed):
                net = build(ARMS[row["arm"]])
                net.load_state_dict(torch.load(model_path(work, size, seed, row["arm"]), weights_only=True))
                known = {name: row[name] for name in ("size", "seed", "arm")}
                add_row(path, {**known, **metrics(net, slides, ARMS[row["arm"]], row["weights"])})


def arms_at(size: int) -> Sequence[str]:
    return LARGE if size == max(SIZES) else tuple(ARMS)


def model_path(work: Path, size: int, seed: int, name: str) -> Path:
    return work / "models" / f"{size}-{seed}-{list(ARMS).index(name)}.pt"


def main(work: Path, data: Path, sizes: Sequence[int], seeds: Sequence[int], *, test: bool) -> None:
    torch.set_num_threads(1)
    library = read_library(data / "lymph_node" / "pcam.zip", work / "tiles")
    if test:
        test_all(work, library, sizes, seeds)
    else:
        train_all(work, library, sizes, seeds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--sizes", nargs="+", type=int, choices=SIZES, default=list(SIZES), help="train a part of them"
    )
    seeds = range(1, max(SIZES.values()) + 1)
    parser.add_argument("--seeds", nargs="+", type=int, choices=seeds, default=list(seeds), help="and of these")
    parser.add_argument("--test", action="store_true", help="test the runs that are there")
    chosen = parser.parse_args()
    main(chosen.work, chosen.data, chosen.sizes, chosen.seeds, test=chosen.test)
