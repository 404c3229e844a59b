"""Fit every adapter without labels, and probe it on lymph node and on GlaS: does any lift both by more than 0.01?

    .venv/bin/python training/encoder_adapter/evaluate.py WORK_FOLDER --data SHARED_DATA

WORK_FOLDER is that of `embed.py`. A finished adapter is a line in WORK_FOLDER/probes.jsonl. Writes README.md beside
this file when all are finished. GlaS is used for evaluation alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from adapters import ALL, NAMES, OF_ALL, OF_PRESENT, PLAIN, Adapter, Learner, Matrix
from embed import PRESENT, VIEWS
from probe import Truth, Vector, probe
from report import readme
from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold

sys.path.append(str(Path(__file__).parents[2] / "studies"))
from encoders import glas

#: Files of the tiles to learn from.
LEARNT = ("train", "colon")


def lymph_scores(adapter: Adapter, train: Matrix, valid: Matrix) -> tuple[Truth, Vector]:
    """Truth and scores of the valid tiles, by a probe on the training tiles; normal tiles come first in both."""
    truth, known = (np.arange(len(one)) >= len(one) // 2 for one in (valid, train))
    rows, folds = adapter(train), StratifiedKFold(3, shuffle=True, random_state=0)
    first = next(folds.split(rows, known))
    return truth, probe(rows, known, adapter(valid), [first])


def glas_scores(adapter: Adapter, features: Matrix, table: pd.DataFrame) -> tuple[Truth, Vector]:
    """Truth and scores of the GlaS tiles, one patient left out at a time."""
    truth, patient = table["positive"].to_numpy(dtype=bool), table["group"].to_numpy()
    adapted = adapter(features)
    scores = np.zeros(len(truth))
    inner = StratifiedGroupKFold(3, shuffle=True, random_state=0)
    for train, test in LeaveOneGroupOut().split(adapted, truth, patient):
        folds = inner.split(adapted[train], truth[train], patient[train])
        scores[test] = probe(adapted[train], truth[train], adapted[test], folds)
    return truth, scores


def adapters(work: Path, names: Sequence[str]) -> Iterator[tuple[str, Adapter]]:
    """Yield each of these adapters, learnt from the views of all tiles."""
    for name in names:
        if name in PLAIN:
            yield name, PLAIN[name]
    for part, makers in ((PRESENT, OF_PRESENT), (ALL, OF_ALL)):
        chosen = [name for name in names if name in makers]
        if chosen:
            views = np.concatenate([np.load(work / f"{name}.npy") for name in LEARNT])
            learner = Learner.of(views.astype(np.float32), part)
            for name in chosen:
                yield name, makers[name](learner)


def main(work: Path, data: Path, names: Sequence[str]) -> None:
    path = work / "probes.jsonl"
    table = pd.DataFrame([facts for _, facts in glas(data / "glas")])
    train = np.load(work / "train.npy", mmap_mode="r")[:, 0].astype(np.float32)
    valid, features = (np.load(work / f"{name}.npy").astype(np.float32) for name in ("valid", "glas"))
    done = {json.loads(line)["adapter"] for line in path.read_text().splitlines()} if path.exists() else set()
    left = [name for name in names if name not in done]
    for name, adapter in adapters(work, left):
        found = {
            "adapter": name,
            "numbers": adapter(valid[:1]).shape[1],
            "lymph": [part.tolist() for part in lymph_scores(adapter, train, valid)],
            "glas": [part.tolist() for part in glas_scores(adapter, features, table)],
        }
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        print(name, flush=True)
    rows = sorted(map(json.loads, path.read_text().splitlines()), key=lambda row: NAMES.index(row["adapter"]))
    if len(rows) < len(NAMES):
        return
    text = readme(
        rows,
        images=table["image"].astype(str).tolist(),
        tiles=sum(len(np.load(work / f"{name}.npy", mmap_mode="r")) for name in LEARNT),
        views=VIEWS,
    )
    (Path(__file__).parent / "README.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    every = list(NAMES)
    parser.add_argument("--adapters", nargs="+", choices=every, default=every, help="fit a part of them")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    main(chosen.work, chosen.data, chosen.adapters)
