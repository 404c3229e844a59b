"""The segments of many slides against a folder of annotations: one row per slide and class, and pooled rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..annotations.compare import Comparison, Row
from ..annotations.finding import annotation_files
from ..bag.h5 import read_attributes
from ..bag.native import bags_in, name_of_bag
from ..errors import DataError
from ..geometry import area_um2
from ..progress import Progress, ProgressCallback, notice, silent
from ..tables.cells import listing
from ..training.checkpoint import load_model
from .comparison import compare_bag

#: In place of a slide's name.
POOLED = "(all slides)"


def compare_cohort(
    bags: Path,
    annotations: Path,
    *,
    model: str | None = None,
    plane: tuple[int, int] = (0, 0),
    device: str = "auto",
    progress: ProgressCallback = silent,
) -> list[Row]:
    """Compare the groups of every bag with the annotation file named as its slide.

    Returns
    -------
    list
        One row per slide and annotated class (:meth:`Comparison.summary`, the area of the annotation in µm², or in
        level-0 pixels where a slide has no resolution), then one pooled row per class. There ``segments``,
        ``cover_segments`` and the area are sums; IoU, purity and recall of the best sets are those of their areas
        together; ``best_iou`` and the AUCs are means over the slides that have them. Slides without annotations are
        named in a notice, as are annotations without a bag.

    Raises
    ------
    DataError
        If no bag has annotations.
    BagError
        If a bag has no segments.
    AnnotationError
        If a file is malformed.
    """
    files, paths = annotation_files(annotations), bags_in(bags)
    names = {path: name_of_bag(path) for path in paths}
    file_of = {path: files.get(names[path], files.get(path.stem)) for path in paths}
    compared = [(path, file) for path, file in file_of.items() if file is not None]
    if not compared:
        raise DataError(
            "no bag has annotations", where=annotations, hint="Name each file as its slide: slide-01.geojson"
        )
    _tell_missing(names, file_of, files, progress)
    loaded = None if model is None else load_model(model, device=device)
    found: list[tuple[str, Comparison, tuple[float, float] | None]] = []
    for done, (path, file) in enumerate(compared):
        progress(Progress("compare", done, len(compared), unit="slides", message=names[path]))
        mpp = _mpp(path)
        found += [(names[path], one, mpp) for one in compare_bag(path, file, model=loaded, plane=plane)]
    progress(Progress("compare", len(compared), len(compared), unit="slides"))
    physical = all(mpp is not None for _, _, mpp in found)
    areas = [float(area_um2(one.pixel_px0, mpp)) if physical else one.pixel_px0 for _, one, mpp in found]
    unit = "annotation_um2" if physical else "annotation_px0"
    rows = [_row(name, one, area, unit) for (name, one, _), area in zip(found, areas, strict=True)]
    by_class: dict[str, list[int]] = {}
    for place, (_, one, _) in enumerate(found):
        by_class.setdefault(one.classification, []).append(place)
    pooled = [
        _pooled([found[k][1] for k in places], [areas[k] for k in places], [rows[k] for k in places], unit)
        for places in by_class.values()
    ]
    return [*rows, *pooled]


def _mpp(path: Path) -> tuple[float, float] | None:
    """Micrometres per level-0 pixel (x, y) of the slide of a bag."""
    mpp = read_attributes(path).get("mpp")
    if mpp is None:
        return None
    x, y = np.broadcast_to(np.asarray(mpp, dtype=np.float64), 2).tolist()
    return x, y


def _tell_missing(
    names: dict[Path, str],
    file_of: dict[Path, Path | None],
    files: dict[str, Path],
    progress: ProgressCallback,
) -> None:
    without = sorted(names[path] for path, file in file_of.items() if file is None)
    unused = sorted({file.name for file in files.values()} - {file.name for file in file_of.values() if file})
    for what, missing in (("slides have no annotations", without), ("annotation files have no bag", unused)):
        if missing:
            progress(notice("compare", f"{len(missing)} {what}: {listing(missing)}"))


def _row(slide_id: str, one: Comparison, area: float, unit: str) -> Row:
    summary = one.summary()
    raster = summary.pop("annotation_raster")
    return {
        "slide_id": slide_id,
        "annotation": summary.pop("annotation"),
        unit: float(raster or 0) * area,
        **summary,
    }


def _pooled(ones: Sequence[Comparison], areas: Sequence[float], rows: Sequence[Row], unit: str) -> Row:
    """Return the row of several slides together, their raster pixels of these areas."""
    total = np.array([one.annotation_raster for one in ones]) * areas
    hit = np.array([one.cover.recall for one in ones]) * total
    purity = np.array([one.cover.purity for one in ones])
    size = np.divide(hit, purity, out=np.zeros_like(hit), where=purity > 0)

    def ratio(part: float, whole: float) -> float:
        return part / whole if whole > 0 else 0.0

    def mean(name: str) -> float | None:
        values = [float(row[name]) for row in rows if row[name] is not None]  # type: ignore[arg-type]
        return float(np.mean(values)) if values else None

    return {
        "slide_id": POOLED,
        "annotation": ones[0].classification,
        unit: float(total.sum()),
        "segments": sum(len(one) for one in ones),
        "best_segment": None,
        "best_iou": mean("best_iou"),
        "cover_segments": sum(len(one.cover.segments) for one in ones),
        "cover_iou": ratio(hit.sum(), total.sum() + size.sum() - hit.sum()),
        "cover_purity": ratio(hit.sum(), size.sum()),
        "cover_recall": ratio(hit.sum(), total.sum()),
        "attention_auc": mean("attention_auc"),
        "probability_auc": mean("probability_auc"),
    }
