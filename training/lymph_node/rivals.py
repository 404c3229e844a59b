"""What needs no multiple-instance learning: colour alone, and a linear probe that was given every tile's label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from maps import SlideMap, read_test_bag
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tiles import CLASSES, read_tiles, tile_colours

from sam_mil_engine.bag.h5 import read_bag, read_grid
from sam_mil_engine.features.loading import load_encoder
from sam_mil_engine.mil.patch_calibration import operating_point
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.slide.tiling import read_patch

Vectors = npt.NDArray[np.float64]


def probes(archive: Path) -> tuple[Pipeline, Pipeline]:
    """Logistic regressions on the colours, and on the features, of the labelled training tiles."""
    encoder = load_encoder("efficientnet-lite0", device="cpu")
    images = [read_tiles(archive, "train", label)[1] for label in CLASSES]
    truth = np.repeat([0, 1], [len(own) for own in images])
    colours = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    features = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=500))
    colours.fit(np.concatenate([tile_colours(own) for own in images]), truth)
    features.fit(np.concatenate([encoder.encode(own) for own in images]), truth)
    return colours, features


def colours_of(bag: Path, slide: Path) -> Vectors:
    """(N, 6) mean and deviation of the CIELAB values of every patch of a bag, as it is read for the encoder."""
    grid = read_grid(bag)
    with open_slide(slide) as opened:
        return tile_colours(np.stack([read_patch(opened, grid, number) for number in range(len(grid))]))


def cohort_colours(work: Path, labels: pd.DataFrame) -> dict[str, Vectors]:
    """Slide -> colours of its patches; kept in ``colours.npz``."""
    file = work / "colours.npz"
    if not file.exists():
        found = {
            name: colours_of(work / "project" / "bags" / f"{name}.h5", work / "slides" / f"{name}.tiff")
            for name in labels["slide_id"]
        }
        np.savez(file, **found)
    with np.load(file) as stored:
        return dict(stored)


def cohort_features(work: Path, labels: pd.DataFrame) -> dict[str, Vectors]:
    """Slide -> features of its patches."""
    bags = work / "project" / "bags"
    return {name: read_bag(bags / f"{name}.h5").features for name in labels["slide_id"]}


def colour_of_slides(colours: Mapping[str, Vectors], labels: pd.DataFrame) -> Callable[[str], float]:
    """Slide -> its probability, by a logistic regression on how the colours of its patches are spread."""

    def spread(name: str) -> Vectors:
        own = colours[name]
        return np.concatenate([own.mean(axis=0), own.std(axis=0), *np.percentile(own, (5, 50, 95), axis=0)])

    train = labels[labels["split"] == "train"]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    model.fit(np.stack([spread(name) for name in train["slide_id"]]), train["label"] == CLASSES[1])
    return lambda name: float(model.predict_proba(spread(name)[None])[0, 1])


def rival_maps(
    work: Path,
    labels: pd.DataFrame,
    model: Pipeline,
    values: Mapping[str, Vectors],
    slide: Callable[[str], float] | None = None,
) -> list[SlideMap]:
    """Maps of the test slides; a slide without ``slide`` has the mean of its patches.

    The operating point is found on normal validation slides, as the engine finds it.
    """
    normal = labels[(labels["split"] == "val") & (labels["label"] == CLASSES[0])]
    cut = operating_point([model.decision_function(values[name]) for name in normal["slide_id"]])
    found = []
    for name in labels.loc[labels["split"] == "test", "slide_id"]:
        test, own = read_test_bag(work, name), model.decision_function(values[name])
        chance = 1 / (1 + np.exp(-own))
        of_slide = float(chance.mean()) if slide is None else slide(name)
        found.append(SlideMap(test.positive, test.inside, of_slide, chance, own, own >= cut, {}))
    return found
