"""Folders in which the commands of a page find what they name: tiny slides, outlines, tables, files of others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from sam_mil_engine.cli.main import app
from tiny_slides import write_tiny_slide

#: Sixteen slides of twelve patients: three folds with both classes on every side.
NAMES = tuple(f"slide-{number:02d}" for number in range(16))
PATIENTS = 12
CLASSES = ("normal", "tumour")
TINY, SMALL = (640, 512), (1600, 1280)
#: An outline in the middle of a slide, as parts of its width and height.
_RING = ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7), (0.3, 0.3))


def slides(
    folder: Path, names: tuple[str, ...] = NAMES, *, suffix: str = ".tiff", size: tuple[int, int] = TINY
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return [write_tiny_slide(folder / f"{name}{suffix}", seed=seed, size=size) for seed, name in enumerate(names)]


def labels(path: Path, names: tuple[str, ...] = NAMES) -> None:
    patients = [number % PATIENTS for number in range(len(names))]
    rows = [f"{name},{CLASSES[one % 2]},P{one}" for name, one in zip(names, patients, strict=True)]
    path.write_text("\n".join(["slide_id,label,patient_id", *rows]) + "\n", encoding="utf-8")


def outlines(
    folder: Path,
    names: tuple[str, ...] = NAMES,
    *,
    classes: tuple[str, ...] = ("Tumour",),
    size: tuple[int, int] = TINY,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        features = [
            {
                "type": "Feature",
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[x * size[0] + 20 * shift, y * size[1]] for x, y in _RING]],
                },
                "properties": {"objectType": "annotation", "classification": {"name": kind}},
            }
            for shift, kind in enumerate(classes)
        ]
        text = json.dumps({"type": "FeatureCollection", "features": features})
        (folder / f"{name}.geojson").write_text(text, encoding="utf-8")


def call(*words: object) -> str:
    """Run a command in this process; return what it printed."""
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    if result.exit_code:
        raise AssertionError(f"{result.exception!r}: {result.output}") from result.exception
    return result.output


def _common(folder: Path) -> None:
    """What most pages name: a folder of slides, labels, and slides and bags that training never sees."""
    slides(folder / "slides")
    labels(folder / "labels.csv")
    slides(folder, ("new-slide", "slide"), suffix=".svs")
    others = tuple(f"other-{number}" for number in range(4))
    call("process", *slides(folder / "others", others), "-o", "other", *_AS_THE_PAGES)
    labels(folder / "other.csv", others)


#: Patches of the README.
_AS_THE_PAGES = ("--patch-size", 256, "--mpp", 0.5)


def readme(folder: Path) -> None:
    _common(folder)
    outlines(folder / "annotations", (*NAMES, "slide"))
    shutil.copy(folder / "annotations" / "slide.geojson", folder)
    call("process", *sorted((folder / "slides").iterdir())[:3], "-o", "before", *_AS_THE_PAGES)
    call("export", "before", "--to", "clam", "-o", "clam/FEATURES")


def training(folder: Path) -> None:
    _common(folder)
    call("process", "slides", "-o", "study", *_AS_THE_PAGES)


def interchange(folder: Path) -> None:
    slides(folder / "slides", NAMES[:3])
    call("process", "slides", "-o", "before", *_AS_THE_PAGES)
    for to, place in (("clam", "FEATURES"), ("clam", "clam"), ("trident", "tri"), ("geojson", "DIR")):
        call("export", "before", "--to", to, "-o", place)
    call("export", "before", "--to", "sam-mil", "-o", ".")
    shutil.copytree("DIR", "Segments", dirs_exist_ok=True)
    shutil.copytree("clam", "features", dirs_exist_ok=True)
    shutil.copytree("clam/patches", "patches", dirs_exist_ok=True)
    (found,) = Path("tri").glob("*overlap")
    shutil.copytree(found, "trident/20x_256px_0px_overlap")


def qupath(folder: Path) -> None:
    slides(folder, ("slide",), suffix=".svs")
    call("process", *slides(folder / "slides", NAMES[:2]), "-o", "study")
    outlines(folder / "outlines", NAMES[:2])


def correcting(folder: Path) -> None:
    slides(folder / "slides", NAMES[:2], size=SMALL)
    outlines(folder / "corrected", NAMES[:1], size=SMALL)
    outlines(folder / "outlines", NAMES[:2], classes=("Tumour", "Artefact"), size=SMALL)


def fine(folder: Path) -> None:
    slides(folder / "slides", NAMES[:2], size=SMALL)


def cohorts(folder: Path) -> None:
    """The table of the page to its end; one slide has a mask, one another resolution, one a corrected outline."""
    rows = ["path,slide_id,mpp,preset,tissue,label,patient_id"]
    names = tuple(f"{17 + number:04d}" for number in range(16))
    for number, path in enumerate(slides(folder / "scans", names, suffix=".tif")):
        patient = "ABCDEFGH"[number // 2]
        name = f"{patient}-{1 + number % 2}"
        mpp, mask = ("0.25" if name == "A-2" else ""), ("masks/B-1.png" if name == "B-1" else "")
        rows.append(f"scans/{path.name},{name},{mpp},,{mask},{CLASSES[1 - number // 2 % 2]},{patient}")
    (folder / "cohort.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "masks").mkdir()
    mask = np.zeros((256, 320), dtype=np.uint8)
    mask[40:220, 40:280] = 255
    Image.fromarray(mask).save(folder / "masks" / "B-1.png")
    outlines(folder / "corrected", ("A-2",), classes=("Tissue",))


PAGES: dict[str, Callable[[Path], None]] = {
    "README.md": readme,
    "docs/cohorts.md": cohorts,
    "docs/correcting.md": correcting,
    "docs/interchange.md": interchange,
    "docs/models.md": fine,
    "docs/qupath.md": qupath,
    "docs/training.md": training,
}
