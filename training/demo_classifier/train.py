"""Make the bundled demonstration classifier: SAM-MIL on generated slides alone.

    .venv/bin/python training/demo_classifier/train.py WORK_FOLDER

Makes 72 slides with seeds that neither the demonstration nor the samples use, processes them as the demonstration
does, trains on slide labels, tests on a held-out third, and writes src/sam_mil_engine/weights/demo with a card that
holds the figures.
Takes about ten minutes on two cores; what is finished in WORK_FOLDER is kept.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from sam_mil_engine.settings import DemoSettings, TrainSettings
from sam_mil_engine.train.checkpoint import load_model, save_model
from sam_mil_engine.train.loop import train
from sam_mil_engine.workflow.comparison import compare_bag
from sam_mil_engine.workflow.process import process_slides
from sam_mil_engine.workflow.synthetic import make_cohort

SLIDES, SEED = 72, 977
TRAIN = TrainSettings(epochs=120, patience=40, min_epochs=60, seed=5, val_fraction=0.25, test_fraction=0.33)
TARGET = Path(__file__).parents[2] / "src" / "sam_mil_engine" / "weights" / "demo"


def main(work: Path) -> None:
    labels = make_cohort(work, slides=SLIDES, seed=SEED)
    settings = DemoSettings().process
    for outcome in process_slides(sorted((work / "slides").glob("*.tiff")), work / "project", settings=settings):
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
    figures = result.folds[0]["test"]
    counts = Counter(result.predictions["label"])
    card = CARD.format(
        slides=SLIDES,
        seed=SEED,
        test=", ".join(f"{count} {name}" for name, count in sorted(counts.items())),
        auc=figures["auc"],
        accuracy=figures["accuracy"],
        balanced=figures["balanced_accuracy"],
        brier=figures["brier"],
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
| input | patches of 256 px at 0.5 µm a pixel, `efficientnet-lite0` (1280-d), segments of `regions` |
| classes | normal, tumour |
| made from | {slides} generated H&E-like slides (`workflow/synthetic`, seed {seed}), slide labels alone |
| tested on | held-out generated slides: {test} |
| slide AUC | {auc:.3f} |
| accuracy, balanced accuracy | {accuracy:.3f}, {balanced:.3f} |
| Brier score | {brier:.3f} |
| patch AUC of tumour probability against the true outlines | {patch:.3f} ± {patch_sd:.3f} over slides |
| patch AUC of attention | {attention:.3f} ± {attention_sd:.3f} |
| licence | Apache-2.0; no real tissue was used |
| made by | `training/demo_classifier/train.py` |

Known limits: generated tissue is far simpler than real tissue, and the model has seen nothing else. Stains,
scanners, organs and tumours of the real world are outside of what it knows.
"""

if __name__ == "__main__":
    main(Path(sys.argv[1]))
