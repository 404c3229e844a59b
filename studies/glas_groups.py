"""What a segmenter's groups do for SAM-MIL on GlaS: the protocol of glas.py, one table for all segmenters.

    .venv/bin/python studies/glas_groups.py GLAS_FOLDER WORK_FOLDER

WORK_FOLDER keeps bags and predictions of each segmenter in a folder of its own, so that a run that was stopped goes
on. Prints the table, and writes it to glas_groups.md beside this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from glas import PROCESS, SEEDS, load, make_bags, metrics, models, predictions, read_labels
from study import markdown, spread

from sam_mil_engine.files import atomic_write

SEGMENTERS = ("regions", "tissue-sam")
GROUPS, NO_GROUPS = "sam-mil", "sam-mil, no group tokens"


def rows_of(segmenter: str, folder: Path, work: Path, table: pd.DataFrame) -> list[list[str]]:
    """SAM-MIL with the groups of one segmenter, and without its group tokens."""
    process = PROCESS.model_copy(update={"segments": PROCESS.segments.model_copy(update={"segmenter": segmenter})})
    make_bags(folder, work, list(table["name"]), process)
    examples = load(work, table)
    groups = [example.bag.n_groups for example in examples.values()]
    rows = []
    for name in (GROUPS, NO_GROUPS):
        each = [
            metrics(predictions(work / "predictions", examples, table, models()[name], seed, process=process))
            for seed in SEEDS
        ]
        cells = [spread([one[kind] for one in each]) for kind in ("auc", "accuracy", "f1")]
        rows.append([segmenter, name, f"{np.mean(groups):.1f} ({min(groups)} to {max(groups)})", *cells])
    return rows


def main(folder: Path, work: Path) -> None:
    torch.set_num_threads(1)
    table = read_labels(folder)
    rows = [row for name in SEGMENTERS for row in rows_of(name, folder, work / name, table)]
    written = (
        "# GlaS: what a segmenter's groups do for SAM-MIL\n\n"
        f"The images, splits, budget and seeds of `glas.md` ({len(SEEDS)} seeds, leave one patient out); only the"
        " segmenter differs. Mean ± SD over seeds of the metrics of all images together. Without group"
        " tokens the groups still say what is masked and where attention is kept even; pseudo-bags are cut"
        " at random and do not know them. No arm has shuffled or random groups, so that the table does not"
        " show that the segments themselves matter: differences between rows are about one SD.\n\n"
        + markdown(("segmenter", "model", "groups a bag", "AUC", "accuracy", "F1"), rows)
        + f"\nMade by `studies/glas_groups.py` with torch {torch.__version__.split('+')[0]}.\n"
    )
    atomic_write(Path(__file__).parent / "glas_groups.md", written)
    print(written)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
