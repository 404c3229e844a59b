"""The external check: 32 real crops across the border of a metastasis, with masks. Evaluation only."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from choice import CROP_MPP
from compose import PROCESS
from maps import SlideMap, TestBag, map_of
from PIL import Image
from rivals import colours_of
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import Pipeline

from sam_mil_engine.bag.h5 import read_bag, read_grid
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.settings import TileSettings
from sam_mil_engine.training.checkpoint import TrainedModel

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Crop:
    """A crop as a bag of patches of the model's size and resolution, and the colours of its patches (N, 6)."""

    name: str
    test: TestBag
    colours: Vector


def read_crops(archive: Path, work: Path) -> list[Crop]:
    """Process every crop like a slide; a patch is tumour where half of it at least is in the mask."""
    folder = work / "crops"
    with zipfile.ZipFile(archive) as members:
        names = sorted(Path(name).stem for name in members.namelist() if name.startswith("images/"))
        masks = {
            name: np.asarray(Image.open(io.BytesIO(members.read(f"masks/{name}.png"))).convert("L")) > 127
            for name in names
        }
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for name in names:
            file = folder / "images" / f"{name}.png"
            if not file.exists():
                Image.open(io.BytesIO(members.read(f"images/{name}.jpg"))).convert("RGB").save(file)
    tiles = TileSettings(**{**PROCESS.tiles.model_dump(), "source_mpp": CROP_MPP})
    settings = PROCESS.model_copy(update={"tiles": tiles})
    paths = [folder / "images" / f"{name}.png" for name in names]
    for result in process_slides(paths, folder / "project", settings=settings, device="cpu", ahead=0):
        if result.error is not None:
            raise result.error
    found = []
    for name, path in zip(names, paths, strict=True):
        bag = folder / "project" / "bags" / f"{name}.h5"
        found.append(Crop(name, TestBag(read_bag(bag), True, _inside(bag, masks[name])), colours_of(bag, path)))
    return found


def _inside(bag: Path, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether half of each patch's part of the crop at least is in the mask."""
    grid = read_grid(bag)
    width, height = (round(side) for side in grid.size_px0)
    return np.array([mask[y : y + height, x : x + width].mean() >= 0.5 for x, y in grid.coords_px0.tolist()])


def crop_metrics(crops: Sequence[Crop], model: TrainedModel, colour: Pipeline, probe: Pipeline) -> dict[str, Any]:
    """Patch AUC and average precision over all patches together, of every map; and the marks of the model."""
    features = np.concatenate([crop.test.bag.features for crop in crops])
    colours = np.concatenate([crop.colours for crop in crops])
    maps = [map_of(model, crop.test) for crop in crops]
    inside = np.concatenate([crop.test.inside for crop in crops])
    scores: dict[str, Vector] = {
        "map": _joined(maps, lambda one: one.rank),
        "map, mean of neighbours": np.concatenate(
            [_with_neighbours(crop, one.rank) for crop, one in zip(crops, maps, strict=True)]
        ),
        **{name: _joined(maps, lambda one, name=name: one.single[name]) for name in maps[0].single},
        "colour alone": colour.decision_function(colours),
        "saturation alone": np.hypot(colours[:, 1], colours[:, 2]),
        "probe with tile labels": probe.decision_function(features),
    }
    marked = np.concatenate([one.marked for one in maps])
    probability = np.concatenate([one.probability for one in maps])
    return {
        "crops": len(crops),
        "patches": len(inside),
        "tumour": int(inside.sum()),
        "ranking": {
            name: {"auc": float(roc_auc_score(inside, own)), "ap": float(average_precision_score(inside, own)),
                   "auc_in_crops": _within(crops, own)}
            for name, own in scores.items()
        },
        "marked": int(marked.sum()),
        "precision": float(inside[marked].mean()) if marked.any() else None,
        "recall": float(marked[inside].mean()),
        "normal_marked": float(marked[~inside].mean()),
        "brier": float(((probability - inside) ** 2).mean()),
        "called": int(sum(one.slide >= model.threshold for one in maps)),
        "distance": [float(model.domain.distance(crop.test.bag.features)) for crop in crops],
    }  # fmt: skip


def _with_neighbours(crop: Crop, values: Vector) -> Vector:
    """Mean of every patch and its neighbours, up to eight."""
    coords = crop.test.bag.coords_px0
    reach = 1.5 * np.asarray(crop.test.bag.attrs["size_px0"], dtype=np.float64)
    near = (np.abs(coords[:, None] - coords[None]) < reach).all(axis=2)
    return near @ values / near.sum(axis=1)


def _joined(maps: Sequence[SlideMap], of: Callable[[SlideMap], Vector]) -> Vector:
    return np.concatenate([of(one) for one in maps])


def _within(crops: Sequence[Crop], scores: Vector) -> float:
    """Mean over crops with patches of both kinds of the AUC within the crop."""
    ends = np.cumsum([len(crop.test.inside) for crop in crops])
    parts = np.split(scores, ends[:-1])
    return float(
        np.mean(
            [
                roc_auc_score(crop.test.inside, own)
                for crop, own in zip(crops, parts, strict=True)
                if crop.test.inside.any() and not crop.test.inside.all()
            ]
        )
    )
