"""What the trained model says where it should not know: skin, brain, drawings, photographs; and of real colon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from cohort import PROCESS
from compose import MPP
from evaluate import Figure
from sklearn.metrics import roc_auc_score

from sam_mil_engine.bag import h5
from sam_mil_engine.errors import SamMilError
from sam_mil_engine.prediction.slide import predict
from sam_mil_engine.process.job import Tools
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.settings import TileSettings
from sam_mil_engine.synthetic import make_slide
from sam_mil_engine.training.bootstrap import interval, resample
from sam_mil_engine.training.checkpoint import TrainedModel
from sam_mil_engine.training.metrics import weighted_auc

#: Images that scikit-image carries and that show no tissue.
IMAGES = ("astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png", "rocket.jpg")
#: Micrometres a pixel of GlaS, and of the crops of TCGA gliomas at 40x.
GLAS_MPP, GLIOMA_MPP = 0.62, 0.25


@dataclass(frozen=True, slots=True)
class Case:
    """A file, what kind of thing it is, its resolution where it does not say it, and its label where it has one."""

    kind: str
    path: Path
    mpp: float | None = None
    label: str | None = None


def cases(shared: Path, work: Path) -> Iterator[Case]:
    """List everything outside, and GlaS: colon of another laboratory, for evaluation alone."""
    import skimage.data

    yield Case("skin (CMU-1-Small-Region)", shared / "slides" / "aperio" / "CMU-1-Small-Region.svs")
    for path in sorted((shared / "nuclei_lgg").glob("*.png")):
        yield Case("brain (TCGA glioma)", path, GLIOMA_MPP)
    for number in range(4):
        path = work / "outside" / f"generated-{number}.tiff"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            make_slide(path, seed=5000 + number, tumour=number % 2 == 1, size_px0=(2048, 1536))
        yield Case("generated H&E-like slides", path)
    for name in IMAGES:
        yield Case("photographs (scikit-image)", Path(skimage.data.__file__).parent / name, MPP)
    for row in pd.read_csv(shared / "glas" / "labels.csv").to_dict("records"):
        (path,) = (shared / "glas" / "images").glob(f"{row['name']}.*")
        yield Case("colon (GlaS)", path, GLAS_MPP, str(row["label"]))


def look_outside(model: TrainedModel, shared: Path, work: Path) -> pd.DataFrame:
    """Process and predict every case: one row each, with the error where the engine found nothing to classify."""
    rows = []
    tools: dict[float | None, Tools] = {}
    for case in cases(shared, work):
        if case.mpp not in tools:
            tiles = TileSettings(patch_size=PROCESS.tiles.patch_size, mpp=MPP, source_mpp=case.mpp)
            tools[case.mpp] = Tools(PROCESS.model_copy(update={"tiles": tiles}))
        row = {"kind": case.kind, "name": case.path.stem, "label": case.label}
        try:
            project = work / "outside" / f"project-{case.mpp}"
            done = process_slide(case.path, project, tools=tools[case.mpp])
            scores = predict(model, h5.read_bag(done.bag_path))
        except SamMilError as error:
            rows.append({**row, "error": str(error)})
            continue
        rows.append(
            {
                **row,
                "patches": len(scores.coords_px0),
                "p_tumour": float(scores.probabilities[1]),
                "predicted": scores.predicted,
                "distance": scores.domain_distance,
            }
        )
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def distances(model: TrainedModel, work: Path, labels: pd.DataFrame) -> dict[str, list[float]]:
    """Distances of the slides of every part, in units of the limit."""
    assert model.domain is not None
    bags = work / "project" / "bags"
    return {
        str(part): [model.domain.distance(h5.read_bag(bags / f"{name}.h5").features) for name in table["slide_id"]]
        for part, table in labels.groupby("split")
    }


def glas_figures(table: pd.DataFrame) -> dict[str, Figure]:
    """AUC and accuracy on GlaS with 95% intervals of a bootstrap over images."""
    known = table[(table["kind"] == "colon (GlaS)") & table["p_tumour"].notna()]
    positive = (known["label"] == "malignant").to_numpy()
    weights = resample(known["name"].tolist())
    right = ((known["predicted"] == "tumour").to_numpy() == positive).astype(np.float64)
    scores = known["p_tumour"].to_numpy(dtype=np.float64)
    metrics = {}
    for name, value, drawn in (
        ("auc", roc_auc_score(positive, scores), weighted_auc(positive, scores, weights)),
        ("accuracy", right.mean(), weights @ right / weights.sum(axis=1)),
    ):
        low, high = interval(drawn)
        metrics[name] = {"value": float(value), "low": low, "high": high, "slides": len(known)}
    return metrics
