"""Fit every adapter without labels, and probe it on lymph node and on GlaS: does any lift both by more than 0.01?

    .venv/bin/python training/encoder_adapter/evaluate.py WORK_FOLDER --data SHARED_DATA

WORK_FOLDER is that of `embed.py`. A finished adapter is a line in WORK_FOLDER/probes.jsonl. Writes README.md beside
this file when all are finished. GlaS is used for evaluation alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from adapters import ADAPTERS, Adapter, Matrix
from embed import VIEWS
from report import readme
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold, StratifiedKFold

sys.path.append(str(Path(__file__).parents[2] / "studies"))
from encoders import STRENGTHS, glas

Vector = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
Folds = Callable[[Vector, Truth], Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]]


def standardised(train: Matrix, test: Matrix) -> tuple[Vector, Vector]:
    """Both as the probe sees them: standardised by the training part, in the coordinates of its rows.

    A penalised probe depends on scalar products alone: where rows are fewer than numbers, it is found in the
    coordinates along the rows, and is the same.
    """
    mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-6
    first, second = ((one - mean) / spread for one in (train.astype(np.float64), test.astype(np.float64)))
    if len(first) >= first.shape[1]:
        return first, second
    _, _, rows = np.linalg.svd(first, full_matrices=False)
    return first @ rows.T, second @ rows.T


def probe(train: Matrix, truth: Truth, test: Matrix, folds: Folds) -> Vector:
    """Scores (m,) of the test rows by a balanced logistic regression; inner folds choose its strength."""
    rows, wanted = standardised(train, test)
    losses = np.zeros(len(STRENGTHS))
    for fit, held in folds(rows, truth):
        own, left = standardised(train[fit], train[held])
        for place, strength in enumerate(STRENGTHS):
            shares = _model(strength).fit(own, truth[fit]).predict_proba(left)
            losses[place] += log_loss(truth[held], shares, labels=[False, True]) * len(held)
    scores: Vector = _model(STRENGTHS[int(losses.argmin())]).fit(rows, truth).decision_function(wanted)
    return scores


def lymph_scores(adapter: Adapter, train: Matrix, valid: Matrix) -> tuple[Truth, Vector]:
    """Truth and scores of the valid tiles, by a probe on the training tiles; normal tiles come first in both."""
    truth, known = (np.arange(len(one)) >= len(one) // 2 for one in (valid, train))
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    return truth, probe(adapter(train), known, adapter(valid), folds.split)


def glas_scores(adapter: Adapter, features: Matrix, table: pd.DataFrame) -> tuple[Truth, Vector]:
    """Truth and scores of the GlaS tiles, one patient left out at a time."""
    truth, patient = table["positive"].to_numpy(dtype=bool), table["group"].to_numpy()
    adapted = adapter(features)
    scores = np.zeros(len(truth))
    inner = StratifiedGroupKFold(3, shuffle=True, random_state=0)
    for train, test in LeaveOneGroupOut().split(adapted, truth, patient):
        groups = patient[train]
        scores[test] = probe(
            adapted[train],
            truth[train],
            adapted[test],
            lambda rows, own, groups=groups: inner.split(rows, own, groups),
        )
    return truth, scores


def views_to_learn_from(work: Path) -> Matrix:
    """(n, 1 + VIEWS, D) of all tiles."""
    parts = [np.load(work / f"{name}.npy") for name in ("train", "colon")]
    return np.concatenate(parts).astype(np.float32)


def main(work: Path, data: Path) -> None:
    path = work / "probes.jsonl"
    table = pd.DataFrame([facts for _, facts in glas(data / "glas")])
    views = views_to_learn_from(work)
    train = np.load(work / "train.npy")[:, 0].astype(np.float32)
    valid, features = (np.load(work / f"{name}.npy").astype(np.float32) for name in ("valid", "glas"))
    done = {json.loads(line)["adapter"] for line in path.read_text().splitlines()} if path.exists() else set()
    for name, fit in ADAPTERS.items():
        if name in done:
            continue
        adapter = fit(views)
        found = {
            "adapter": name,
            "numbers": adapter(valid[:1]).shape[1],
            "lymph": [part.tolist() for part in lymph_scores(adapter, train, valid)],
            "glas": [part.tolist() for part in glas_scores(adapter, features, table)],
        }
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        print(name, flush=True)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    text = readme(rows, images=table["image"].astype(str).tolist(), tiles=len(views), views=VIEWS)
    (Path(__file__).parent / "README.md").write_text(text, encoding="utf-8")
    print(text)


def _model(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=1000, class_weight="balanced")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    main(chosen.work, chosen.data)
