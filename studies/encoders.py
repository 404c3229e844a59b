"""What the features of each encoder know: linear probes on real labelled colon tiles.

    .venv/bin/python studies/encoders.py DATA_FOLDER

DATA_FOLDER holds `glas` and `lc25000_colon`. GlaS (Sirinukunwattana et al. 2017): tiles of 256 px, benign or
malignant as their image is, one patient left out at a time; it is used for evaluation alone, nothing that ships is
fitted to it. LC25000: adenocarcinoma or normal, five folds over groups of augmented copies. The probe is a logistic
regression on standardised features; its strength is chosen by inner folds over patients or groups of the training
part. Prints the table, and writes it to encoders.md. Takes about five minutes on two cores.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from skimage.color import rgb2hsv
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sam_mil_engine.features.loading import load_encoder
from sam_mil_engine.features.resnet50 import TruncatedResNet50
from sam_mil_engine.features.torch_encoder import TorchEncoder
from sam_mil_engine.training.bootstrap import interval, resample
from sam_mil_engine.training.metrics import weighted_auc

Encode = Callable[[np.ndarray], np.ndarray]
SIDE, BINS, SEED = 256, 16, 0
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
#: Defined also on inner folds that hold one class alone, as those of a few patients do.
SCORING = make_scorer(log_loss, greater_is_better=False, response_method="predict_proba", labels=[False, True])
COLUMNS = ("encoder", "numbers", "GlaS tiles", "GlaS images", "LC25000 tiles")


def random_resnet50() -> Encode:
    """ResNet-50 up to layer3 as it is before any training."""
    torch.manual_seed(SEED)
    imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    known = {"name": "resnet50", "version": "random", "weights_sha256": "", "dim": 1024}
    return TorchEncoder(TruncatedResNet50(), **known, **imagenet, device="cpu").encode


def colour_histogram(tiles: np.ndarray) -> np.ndarray:
    """Shares of hue, saturation and value in 16 steps each: (B, S, S, 3) -> (B, 48)."""
    hsv = rgb2hsv(tiles).reshape(len(tiles), -1, 3)
    steps = np.minimum((hsv * BINS).astype(int), BINS - 1)
    return np.stack(
        [np.concatenate([np.bincount(one[:, c], minlength=BINS) for c in range(3)]) / len(one) for one in steps]
    )


ENCODERS: dict[str, Callable[[], Encode]] = {
    "`efficientnet-lite0` (ImageNet)": lambda: load_encoder("efficientnet-lite0", device="cpu").encode,
    "`resnet50` up to layer3, random weights": random_resnet50,
    "colour histogram": lambda: colour_histogram,
}


def glas(folder: Path) -> Iterator[tuple[np.ndarray, dict[str, object]]]:
    """Tiles without overlap around the middle of every image."""
    for row in pd.read_csv(folder / "labels.csv").to_dict("records"):
        (file,) = (folder / "images").glob(f"{row['name']}.*")
        image = np.asarray(Image.open(file).convert("RGB"))
        rows, columns = image.shape[0] // SIDE, image.shape[1] // SIDE
        top, left = (image.shape[0] - rows * SIDE) // 2, (image.shape[1] - columns * SIDE) // 2
        for number in range(rows * columns):
            y, x = top + number // columns * SIDE, left + number % columns * SIDE
            facts = {"image": row["name"], "group": row["patient"], "positive": row["label"] == "malignant"}
            yield image[y : y + SIDE, x : x + SIDE], facts


def lc25000(folder: Path) -> Iterator[tuple[np.ndarray, dict[str, object]]]:
    for row in pd.read_csv(folder / "labels.csv").to_dict("records"):
        facts = {"image": row["file"], "group": row["group"], "positive": row["label"] == "tumour"}
        yield np.asarray(Image.open(folder / row["file"]).convert("RGB")), facts


def encode_all(encode: Encode, tiles: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([encode(np.stack(tiles[start : start + 16])) for start in range(0, len(tiles), 16)])


def probe() -> Pipeline:
    """Balanced: else the patient that is left out shifts the prior of the rest, and with it every pooled score."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))


def out_of_fold(
    features: np.ndarray, table: pd.DataFrame, folds: LeaveOneGroupOut | StratifiedGroupKFold
) -> np.ndarray:
    """Score of every tile from a probe that saw no tile of its patient or group."""
    positive, group = table["positive"].to_numpy(), table["group"].to_numpy()
    scores = np.zeros(len(table))
    for train, test in folds.split(features, positive, group):
        inner = StratifiedGroupKFold(3, shuffle=True, random_state=SEED)
        search = GridSearchCV(probe(), {"logisticregression__C": STRENGTHS}, scoring=SCORING, cv=inner)
        search.fit(features[train], positive[train], groups=group[train])
        scores[test] = search.decision_function(features[test])
    return scores


def auc(positive: np.ndarray, scores: np.ndarray, unit: np.ndarray) -> str:
    """AUC with the 95% interval of a bootstrap over whole units."""
    low, high = interval(weighted_auc(positive.astype(bool), scores, resample(unit.astype(str))))
    return f"{roc_auc_score(positive, scores):.3f} ({low:.3f} to {high:.3f})"


def main(folder: Path) -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    sets = {name: list(zip(*read(folder / name), strict=True)) for name, read in READERS.items()}
    tables = {name: pd.DataFrame(facts) for name, (_, facts) in sets.items()}
    rows = []
    for name, build in ENCODERS.items():
        start = time.perf_counter()
        encode = build()
        features = {data: encode_all(encode, list(tiles)) for data, (tiles, _) in sets.items()}
        table = tables["glas"]
        scores = out_of_fold(features["glas"], table, LeaveOneGroupOut())
        images = (
            table.assign(score=scores).groupby("image").agg(positive=("positive", "first"), score=("score", "mean"))
        )
        cells = [name, str(features["glas"].shape[1])]
        cells += [auc(table["positive"].to_numpy(), scores, table["image"].to_numpy())]
        cells += [auc(images["positive"].to_numpy(), images["score"].to_numpy(), images.index.to_numpy())]
        table = tables["lc25000_colon"]
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=SEED)
        scores = out_of_fold(features["lc25000_colon"], table, folds)
        cells += [auc(table["positive"].to_numpy(), scores, table["group"].to_numpy())]
        rows.append(f"| {' | '.join(cells)} |")
        print(rows[-1], f"({time.perf_counter() - start:.0f} s)", flush=True)
    count = {
        name: (len(table), table["image"].nunique(), table["group"].nunique()) for name, table in tables.items()
    }
    (Path(__file__).parent / "encoders.md").write_text(
        "# Encoders: linear probes on real colon tiles\n\n"
        f"AUC and the 95% interval of a bootstrap over images (GlaS) and groups of copies (LC25000). GlaS:"
        f" {count['glas'][0]} tiles of {SIDE} px from {count['glas'][1]} images of {count['glas'][2]} patients, one"
        " patient left out at a time; an image's score is the mean of its tiles'. LC25000:"
        f" {count['lc25000_colon'][0]} tiles of {count['lc25000_colon'][2]} groups, five folds over groups. Made by"
        f" `studies/encoders.py` with torch {torch.__version__.split('+')[0]}.\n\n"
        f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n" + "\n".join(rows) + "\n\n"
        "LC25000 is nearly solved by colour alone and hardly tells encoders apart. GlaS, by patient, is the\n"
        "honest column; nine patients are few, and the intervals do not know that.\n"
    )


READERS = {"glas": glas, "lc25000_colon": lc25000}

if __name__ == "__main__":
    main(Path(sys.argv[1]))
