"""All that is known of one slide in one GeoJSON file, for QuPath 0.5 and later.

Tissue, segments and outlines are QuPath's annotations; patches are its tiles, which a measurement map colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely

from ..errors import DataError
from ..geometry import area_um2
from ..mil.scores import SlideScores
from ..slide.info import SlideInfo
from ..slide.place import SlidePlace
from .geojson import TILE, write_geojson
from .masks import tissue_annotations
from .model import Annotation

if TYPE_CHECKING:
    from ..segment.groups import Groups
    from ..segment.segments import Segments
    from ..slide.tissue_regions import TissueRegions

#: Numbers of one object by name; those that are not finite are left out.
Measurements = Mapping[str, float]
#: End of the name of such a file: ``SLIDE.qupath.geojson``.
ENDING = ".qupath.geojson"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideObjects:
    """What is known of one slide. Everything is in level-0 pixels, and may be missing.

    Attributes
    ----------
    tissue
        Its tissue.
    segments, measured
        Its segments as annotations, and the measurements of each.
    outlines
        What a person drew.
    coords_px0, size_px0
        (N, 2) top left corners of the patches, and their width and height.
    scores
        The prediction, of the same patches.
    """

    tissue: TissueRegions | None = None
    segments: Sequence[Annotation] = ()
    measured: Sequence[Measurements] = ()
    outlines: Sequence[Annotation] = ()
    coords_px0: npt.NDArray[np.int32] | None = None
    size_px0: tuple[float, float] | None = None
    scores: SlideScores | None = None

    def __post_init__(self) -> None:
        scores, coords = self.scores, self.coords_px0
        if scores is not None and coords is not None and not np.array_equal(scores.coords_px0, coords):
            raise DataError(
                f"the scores of {scores.slide_id!r} are of other patches than its bag",
                hint="Predict the slide again with this project",
                window_hint="Press Segment/Classify again",
            )


def write_for_qupath(
    path: str | PathLike[str], found: SlideObjects, *, info: SlideInfo | SlidePlace | None
) -> Path:
    """Write the objects of a slide so that QuPath imports them in one step; the file appears whole or not at all.

    Parameters
    ----------
    path
        The file, ``SLIDE.qupath.geojson``.
    found
        What is known of the slide.
    info
        The slide, for its bounds, as :func:`~.geojson.write_geojson` has it.

    Raises
    ------
    DataError
        If nothing is known of the slide.
    ProjectError
        If the file cannot be written.
    """
    tissue = [] if found.tissue is None else tissue_annotations(found.tissue)
    patches, of_patches = patch_objects(found)
    drawn = [*tissue, *found.segments, *found.outlines]
    if not drawn and not patches:
        raise DataError(
            "nothing is known of the slide yet",
            where=path,
            hint="Process it first",
            window_hint="Press Segment/Classify in the Analyze dock first",
        )
    measured = [
        *({} for _ in tissue),
        *(found.measured or ({} for _ in found.segments)),
        *({} for _ in found.outlines),
        *of_patches,
    ]
    finite = [{name: value for name, value in row.items() if np.isfinite(value)} for row in measured]
    return write_geojson(
        path,
        [*drawn, *patches],
        info=info,
        properties=[{"measurements": row} if row else {} for row in finite],
        kinds=["annotation"] * len(drawn) + [TILE] * len(patches),
    )


def patch_objects(found: SlideObjects) -> tuple[list[Annotation], list[Measurements]]:
    """Return the patches as squares, and what the prediction says of each; nothing where no patch is known."""
    scores = found.scores
    coords = found.coords_px0 if found.coords_px0 is not None or scores is None else scores.coords_px0
    if coords is None or found.size_px0 is None:
        return [], []
    left, top = np.asarray(coords, dtype=np.float64).reshape(-1, 2).T
    width, height = found.size_px0
    squares = shapely.box(left, top, left + width, top + height)
    patches = [
        Annotation(name=f"Patch {number}", classification=None, polygon=square)
        for number, square in enumerate(squares, start=1)
    ]
    columns = {} if scores is None else _patch_columns(scores)
    rows: list[Measurements] = [
        {name: float(column[number]) for name, column in columns.items()} for number in range(len(patches))
    ]
    return patches, rows


def _patch_columns(scores: SlideScores) -> dict[str, npt.NDArray[Any]]:
    columns: dict[str, npt.NDArray[Any]] = {}
    if scores.attention is not None:
        columns["attention (times mean)"] = scores.attention / max(float(scores.attention.mean()), 1e-30)
    for number, name in enumerate(scores.classes):
        columns[f"probability {name}"] = scores.patch_probability[:, number]
        if scores.evidence is not None:
            columns[f"evidence {name}"] = scores.evidence[:, number]
    return columns


def segment_measurements(
    segments: Segments,
    *,
    groups: Groups | None = None,
    scores: SlideScores | None = None,
    mpp: tuple[float, float] | None = None,
) -> list[Measurements]:
    """Return the measurements of every segment: its area, the segmenter's score, and those of its group."""
    area_px0 = segments.frame.area_to_px0(segments.area)
    area = ("area (px²)", area_px0) if mpp is None else ("area (µm²)", area_um2(area_px0, mpp))
    rows = [
        {area[0]: float(area[1][number]), "segmenter score": float(segments.predicted_iou[number])}
        for number in range(len(segments))
    ]
    of_groups = None if scores is None else scores.groups
    for number, segment in enumerate([] if groups is None else groups.segment_of_group.tolist()):
        rows[segment]["patches"] = int(groups.sizes[number]) if groups is not None else 0
        if of_groups is None or scores is None:
            continue
        rows[segment]["attention mass"] = float(of_groups.attention_mass[number])
        for place, name in enumerate(scores.classes):
            rows[segment][f"probability {name}"] = float(of_groups.mean_probability[number, place])
            rows[segment][f"evidence {name}"] = float(of_groups.evidence[number, place])
    return list(rows)
