"""Existing segments: SAM-MIL's pickles, bags, outlines of QuPath, label images."""

from __future__ import annotations

from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from .. import layout
from ..annotations.raster import rasterise
from ..annotations.reading import read_annotations
from ..bag import h5
from ..bag.names import file_name, find_existing
from ..bag.segment_pickles import read_pickled_segments
from ..errors import SegmentError
from ..geometry import Frame
from ..segment.segments import Segments
from ..settings import SegmentSettings
from ..slide.info import SlideInfo
from ..slide.place import UNKNOWN_PLACE

#: Pixels of a label image beyond which it is not the image that a segmenter saw.
_MOST_PIXELS = 2**28
_FOLDERS = ("", layout.SEGMENTS, "Segments", layout.BAGS)
_ENDINGS = (".pkl", ".h5", ".geojson", ".ome.zarr")


def find_segments(folder: Path, slide_id: str) -> Path | None:
    """Return the slide's file of segments in ``folder`` or its usual folders, or None; pickles are taken first."""
    places = [folder / name for name in _FOLDERS]
    found = (find_existing(place / f"{slide_id}{ending}") for ending in _ENDINGS for place in places)
    return next((path for path in found if path.exists()), None)


def load_segments(path: Path, *, info: SlideInfo | None = None, mpp: tuple[float, float] | None = None) -> Segments:
    """Read segments of one slide.

    Parameters
    ----------
    path
        SAM-MIL's pickle, a native bag, GeoJSON (painted on an image of the outlines' box, its longest side as the
        settings say), or a label image as OME-Zarr, in which a mask is what no smaller one covers.
    info
        The slide, where it is at hand.
    mpp
        Micrometres per level-0 pixel: a label image with a unit needs it.

    Raises
    ------
    BagError, AnnotationError, SegmentError
        If the file is damaged or holds no segments.
    """
    if path.suffix == ".pkl":
        return read_pickled_segments(
            path, level_downsamples=None if info is None else info.level_downsamples
        ).segments
    if path.suffix == ".h5":
        segments = h5.read_segments(path)
        if segments is None:
            raise SegmentError("the bag has no segments", where=path, hint="Process its slide with all stages")
        return segments
    return _of_outlines(path, info) if path.suffix == ".geojson" else _of_labels(path, mpp)


def _of_outlines(path: Path, info: SlideInfo | None) -> Segments:
    outlines = [item.polygon for item in read_annotations(path, info=info or UNKNOWN_PLACE)]
    if not outlines:
        raise SegmentError("there is no outline in it", where=path, hint="Export the segments again")
    left, top, right, bottom = shapely.total_bounds(outlines).tolist()
    corner, longest, factor = (floor(left), floor(top)), max(right - floor(left), bottom - floor(top)), 1
    while longest > SegmentSettings().max_side * factor:
        factor *= 2
    frame = Frame((float(corner[0]), float(corner[1])), (float(factor), float(factor)))
    size = (max(1, ceil((right - corner[0]) / factor)), max(1, ceil((bottom - corner[1]) / factor)))
    masks = [rasterise(outline, frame=frame, size_raster=size) for outline in outlines]
    return Segments.from_masks([mask for mask in masks if mask.any()], frame=frame, size_raster=size)


def _of_labels(path: Path, mpp: tuple[float, float] | None) -> Segments:
    from scipy.ndimage import find_objects

    labels, frame = _label_image(path, mpp)
    numbers = np.unique(labels)
    numbers = numbers[numbers > 0]
    dense = np.searchsorted(numbers, labels) + 1
    dense[labels == 0] = 0
    crops, boxes = [], []
    for number, (rows, columns) in enumerate(find_objects(dense), start=1):
        crops.append(dense[rows, columns] == number)
        boxes.append((columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start))
    return Segments.from_crops(crops, boxes, frame=frame, size_raster=(labels.shape[1], labels.shape[0]))


def _label_image(path: Path, mpp: tuple[float, float] | None) -> tuple[np.ndarray[Any, Any], Frame]:
    """Return the finest level of an OME-Zarr 0.4 or 0.5 label image (height, width), and its frame."""
    import zarr

    try:
        group = zarr.open_group(path, mode="r")
        attributes = dict(group.attrs)
        scales = attributes.get("ome", attributes)["multiscales"][0]
        level = scales["datasets"][0]
        array = group[file_name(level["path"], where=path)]
        pixels = int(np.prod(array.shape))
        if array.ndim != 2 or array.dtype.kind not in "iu" or pixels > _MOST_PIXELS:
            raise SegmentError(f"its image of shape {array.shape} is not a label image", where=path)
        steps = {item["type"]: np.asarray(item[item["type"]], float) for item in level["coordinateTransformations"]}
        scale, shift = steps["scale"][::-1], steps.get("translation", np.zeros(2))[::-1]
        unit = scales["axes"][-1].get("unit")
    except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise SegmentError(f"not readable as OME-Zarr ({error})", where=path, hint="Write it again") from error
    if unit is not None and (unit != "micrometer" or mpp is None):
        raise SegmentError(
            f"its unit is {unit}, and the resolution of the slide is not known",
            where=path,
            hint="Give the slides with --slides, or their resolution with --source-mpp",
            window_hint="Enter the resolution in the Analyze dock and press Segment",
        )
    downsample, shift = (np.divide(values, mpp or (1.0, 1.0)) for values in (scale, shift))
    left, top = (shift + 0.5 - downsample / 2).tolist()  # the format speaks of pixel centres
    return np.asarray(array[:]), Frame((left, top), (float(downsample[0]), float(downsample[1])))
