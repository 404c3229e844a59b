"""Make the bundled demonstration classifier: SAM-MIL on generated slides alone.

    .venv/bin/python training/demo_classifier/train.py WORK_FOLDER

Makes 72 slides with seeds that neither the demonstration nor the samples use, processes them as the demonstration
does but with the patches of the colon classifier, so that the same bag suits both, trains on slide labels, tests on
a held-out third, and writes src/sam_mil_engine/weights/demo with a card that holds the figures.
Takes about ten minutes on two cores; what is finished in WORK_FOLDER is kept.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from sam_mil_engine.prediction.comparison import compare_bag
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.settings import (
    ModelSettings,
    ProcessSettings,
    SegmentSettings,
    TileSettings,
    TrainSettings,
)
from sam_mil_engine.synthetic import make_cohort
from sam_mil_engine.training.checkpoint import load_model, save_model
from sam_mil_engine.training.loop import train
from sam_mil_engine.training.split_files import read_splits

SLIDES, SEED = 72, 977
#: With the consistency of the bundled weights.
MODEL = ModelSettings(consistency_weight=1000.0)
TRAIN = TrainSettings(
    model=MODEL, epochs=120, patience=40, min_epochs=60, seed=5, val_fraction=0.25, test_fraction=0.33
)
#: As the colon classifier has them.
PROCESS = ProcessSettings(
    tiles=TileSettings(patch_size=224, mpp=0.7),
    segments=SegmentSettings(segmenter="regions", superpixels=500, cuts=(4, 8, 16, 32)),
)
TARGET = Path(__file__).parents[2] / "src" / "sam_mil_engine" / "weights" / "demo"


def main(work: Path) -> None:
    labels = make_cohort(work, slides=SLIDES, seed=SEED)
    for outcome in process_slides(sorted((work / "slides").glob("*.tiff")), work / "project", settings=PROCESS):
        print(outcome.summary(), flush=True)
        if outcome.error is not None:
            raise outcome.error
    run = work / "project" / "runs" / "demo"
    result = train(work / "project" / "bags", labels, run, settings=TRAIN, resume=run.exists())
    print(result.folds[0])
    aucs, attention = [], []
    for row in result.predictions.to_dict("records"):
        if row["label"] == result.classes[-1]:
            bag = work / "project" / "bags" / f"{row['slide_id']}.h5"
            for found in compare_bag(bag, work / "annotations" / f"{row['slide_id']}.geojson", model=str(run)):
                aucs.append(found.summary()["probability_auc"])
                attention.append(found.summary()["attention_auc"])
    pooled = result.summary["pooled"]

    def shown(name: str) -> str:
        return "{value:.3f} ({low:.3f} to {high:.3f})".format(**pooled[name])

    (split,) = read_splits(run / "splits.csv")
    counts = Counter(result.predictions["label"])
    card = CARD.format(
        slides=SLIDES,
        seed=SEED,
        train=len(split.train),
        val=len(split.val),
        held_out=len(split.test),
        test=", ".join(f"{count} {name}" for name, count in sorted(counts.items())),
        auc=shown("auc"),
        accuracy=shown("accuracy"),
        balanced=shown("balanced_accuracy"),
        brier=shown("brier"),
        patch=np.mean(aucs),
        patch_sd=np.std(aucs, ddof=1),
        attention=np.mean(attention),
        attention_sd=np.std(attention, ddof=1),
    )
    save_model(TARGET, replace(load_model(run), name="demo", card=card))
    print(card)


CARD = """# Demonstration classifier

**Not for diagnosis, and not for real tissue.** It shows what the software does; on a real slide its answer means
nothing.

| | |
|---|---|
| method | SAM-MIL (Fang et al. 2024) with group tokens, SG2M, pseudo-bags and the consistency loss |
| input | patches of 224 px at 0.7 µm per pixel, `efficientnet-lite0` (1280-d), segments of `regions` |
| classes | normal, tumour |
| data | {slides} generated H&E-like slides in all (`sam_mil_engine.synthetic`, seed {seed}) |
| trained on | {train} of them, slide labels alone; {val} validation slides chose the epoch and the threshold |
| tested on | the {held_out} others: {test} |
| slide AUC (95% interval, bootstrap over slides) | {auc} |
| accuracy, balanced accuracy | {accuracy}, {balanced} |
| Brier score | {brier} |
| patch AUC of tumour probability against the true outlines | {patch:.3f} ± {patch_sd:.3f} over slides |
| patch AUC of attention | {attention:.3f} ± {attention_sd:.3f} |
| licence | Apache-2.0; no real tissue was used |
| made by | `training/demo_classifier/train.py` |

Known limits: generated tissue is far simpler than real tissue, and the model has seen nothing else. Stains,
scanners, organs and tumours of the real world are outside of what it knows.
"""

if __name__ == "__main__":
    main(Path(sys.argv[1]))
