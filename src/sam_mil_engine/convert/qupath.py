"""Bags, their predictions and the outlines of persons as one file for QuPath each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..annotations.finding import annotation_files
from ..annotations.masks import segment_annotations
from ..annotations.qupath import ENDING, SlideObjects, segment_measurements, write_for_qupath
from ..annotations.reading import read_annotations
from ..bag import h5
from ..bag.foreign import ForeignBag
from ..bag.names import file_name
from ..bag.place import read_slide_place
from ..mil.score_files import read_scores
from ..slide.place import UNKNOWN_PLACE

if TYPE_CHECKING:
    from ..slide.info import SlideInfo


def write(
    folder: Path,
    found: ForeignBag,
    info: SlideInfo | None,
    *,
    scores: Path | None = None,
    annotations: Path | None = None,
) -> list[Path]:
    """Write ``SLIDE.qupath.geojson``: tissue, segments, outlines and patches with their scores.

    Parameters
    ----------
    folder
        Where the file goes.
    found
        The bag.
    info
        The slide, where it is at hand.
    scores
        Folder that ``predict`` wrote; a slide without scores in it gets none.
    annotations
        Folder of outlines, each file named as its slide; a slide without a file gets none.

    Raises
    ------
    DataError, AnnotationError
        If scores or outlines cannot be read, or the scores are of other patches.
    """
    bag, name = found.bag, file_name(found.bag.slide_id)
    bag_path = Path(str(bag.attrs["path"]))
    native = bag_path.suffix == ".h5" and "tissue" in h5.read_stages(bag_path)
    place = info or (read_slide_place(bag_path) if native else UNKNOWN_PLACE)
    scored = scores / f"{name}.json" if scores is not None else None
    predicted = read_scores(scored) if scored is not None and scored.is_file() else None
    drawn = None if annotations is None else annotation_files(annotations).get(name)
    mpp = bag.attrs.get("mpp")
    segments = found.segments
    objects = SlideObjects(
        tissue=h5.read_tissue(bag_path) if native else None,
        segments=[] if segments is None else segment_annotations(segments),
        measured=()
        if segments is None
        else segment_measurements(
            segments,
            groups=bag.groups,
            scores=predicted,
            mpp=None if mpp is None else (float(mpp[0]), float(mpp[1])),
        ),
        outlines=() if drawn is None else read_annotations(drawn, info=place),
        coords_px0=bag.coords_px0,
        size_px0=None if found.grid is None else found.grid.size_px0,
        scores=predicted,
    )
    return [write_for_qupath(folder / f"{name}{ENDING}", objects, info=place)]
