"""Which bundled classifiers slides are processed for, of lymph node, colon and generated tissue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from sam_mil_engine.prediction.batch import settings_for
from sam_mil_engine.prediction.candidates import candidates_for
from sam_mil_engine.settings import ProcessSettings
from sam_mil_engine.synthetic import make_slide
from sam_mil_engine.synthetic.pyramid import write_pyramid
from sam_mil_engine.training.checkpoint import TrainedModel

#: Micrometres per pixel of GlaS, of LC25000 (estimated) and of the crops (estimated).
GLAS_MPP, COLON_MPP, CROP_MPP = 0.62, 0.7, 1.0
#: Tiles in a mosaic of LC25000, and how many mosaics.
_CELLS, _MOSAICS = (5, 4), 6
#: Of the images of GlaS, and of the test slides, every so many are taken.
_OF_GLAS, _OF_SLIDES = 4, 2


@dataclass(frozen=True, slots=True)
class Case:
    """An image, what it shows, which classifier is for that, and its resolution where the file does not say it."""

    what: str
    meant: str
    path: Path
    mpp: float | None = None


def cases(work: Path, data: Path) -> Iterator[Case]:
    """List test slides, crops, and images of the other classifiers' tissue."""
    for path in sorted((work / "slides").glob("node-test-*.tiff"))[::_OF_SLIDES]:
        yield Case("lymph node, composed test slides", "lymph-node", path)
    for path in sorted((work / "crops" / "images").glob("*.png")):
        yield Case("lymph node, real crops", "lymph-node", path, CROP_MPP)
    files = sorted((data / "lc25000_colon").glob("*/*.jp*g"))
    for number in range(_MOSAICS):
        path = work / "choice" / f"colon-{number}.tiff"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_pyramid(path, _mosaic(files[number::_MOSAICS]), mpp=COLON_MPP, description="LC25000", quality=95)
        yield Case("colon, tiles of LC25000 side by side", "colon", path)
    for path in sorted((data / "glas" / "images").glob("*.jpg"))[::_OF_GLAS]:
        yield Case("colon, GlaS", "colon", path, GLAS_MPP)
    for number in range(_MOSAICS):
        path = work / "choice" / f"generated-{number}.tiff"
        if not path.exists():
            make_slide(path, seed=7000 + number, tumour=number % 2 == 1, size_px0=(1600, 1200))
        yield Case("generated slides", "demo", path)


def choices(models: Sequence[TrainedModel], work: Path, data: Path) -> pd.DataFrame:
    """One row per image: what, meant, and whether it is processed for the classifier that is meant.

    Kept in ``choice.csv``: every run of the cohort has the same domain.
    """
    file, rows = work / "choice.csv", []
    if file.exists():
        return pd.read_csv(file)
    for case in cases(work, data):

        def settings_of(model: TrainedModel, mpp: float | None = case.mpp) -> ProcessSettings:
            return settings_for(model, source_mpp=mpp)

        found = [model.name for model in candidates_for(models, case.path, settings_of, device="cpu")]
        rows.append({"what": case.what, "meant": case.meant, "right": case.meant in found})
    found = pd.DataFrame(rows)
    found.to_csv(file, index=False)
    return found


def _mosaic(files: Sequence[Path]) -> np.ndarray:
    """Photographs side by side on glass."""
    columns, rows = _CELLS
    chosen = files[:: max(1, len(files) // (columns * rows))][: columns * rows]
    tiles = [np.asarray(Image.open(file).convert("RGB")) for file in chosen]
    lines = [np.concatenate(tiles[k : k + columns], axis=1) for k in range(0, len(tiles), columns)]
    return np.pad(np.concatenate(lines), ((150, 150), (150, 150), (0, 0)), constant_values=244)
