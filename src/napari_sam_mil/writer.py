"""Save layers: outlines and segments as GeoJSON for QuPath, segment tables as CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sam_mil_engine.errors import AnnotationError
from sam_mil_engine.files import atomic_write
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.tables.writing import csv_text

from .analysis.source import LayerTag, tag_of
from .background.waiting import wait_for
from .layers.annotations import shape_annotations
from .layers.outline_image import annotations_of_image
from .session.annotations import snapshot_outlines

if TYPE_CHECKING:
    from sam_mil_engine.annotations.model import Annotation
    from sam_mil_engine.slide.info import SlideInfo

    from .session.slide import SlideSession

_CLASSES = {"tissue": "Tissue"}


def write_shapes(path: str, data: list[npt.NDArray[np.floating]], meta: dict[str, Any]) -> list[str]:
    """Write the polygons of a shapes layer as GeoJSON, in level-0 pixels of its slide.

    Raises
    ------
    AnnotationError
        If the layer does not belong to a slide that this plugin opened.
    """
    from sam_mil_engine.annotations.geojson import write_geojson

    tag = _tag(path, meta)

    def write(_progress: object) -> str:
        annotations = shape_annotations(data, meta, mpp=tag.source.place, unnamed=_CLASSES.get(tag.kind))
        return str(write_geojson(path, annotations, info=tag.source.info))

    return [wait_for(write, f"Saving {Path(path).name}")]


def write_segments(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write the segments of a segments layer: GeoJSON with their scores, or CSV with the scores alone.

    An image of many outlines is written by :func:`write_shapes`.
    """
    tag = _tag(path, meta)
    if annotations_of_image(data) is not None:
        return write_shapes(path, data, meta)
    if tag.segments is None:
        raise AnnotationError(
            "this layer holds no segments", where=path, hint="Save the segments layer of an analysed slide"
        )
    table = {str(name): np.asarray(column) for name, column in dict(meta["features"]).items()}
    return [save_segments(path, tag.segments, table, info=tag.source.info)]


def save_segments(
    path: str | Path, segments: Segments, table: Mapping[str, npt.NDArray[Any]], *, info: SlideInfo
) -> str:
    """Run :func:`write_segments_file` in a thread, while the window stays responsive."""
    return str(
        wait_for(lambda _: write_segments_file(path, segments, table, info=info), f"Saving {Path(path).name}")
    )


def write_segments_file(
    path: str | Path, segments: Segments, table: Mapping[str, npt.NDArray[Any]], *, info: SlideInfo
) -> str:
    """Write segments in the format of the suffix: ``.csv`` writes the table, any other GeoJSON."""
    if Path(path).suffix.lower() == ".csv":
        return write_table(path, table)
    return write_segments_geojson(path, segments, table, info=info)


def write_segments_geojson(
    path: str | Path, segments: Segments, table: Mapping[str, npt.NDArray[Any]], *, info: SlideInfo
) -> str:
    """Write the segments of a table (``index`` counts from 1) as polygons, with their rows as measurements."""
    from sam_mil_engine.annotations.geojson import write_geojson

    annotations, rows = _measured_segments(segments, table)
    return str(write_geojson(path, annotations, info=info, properties=rows))


def _measured_segments(
    segments: Segments | None, table: Mapping[str, npt.NDArray[Any]]
) -> tuple[list[Annotation], list[dict[str, float]]]:
    """Return the segments of a table as annotations, and their rows as measurements."""
    from sam_mil_engine.annotations.masks import segment_annotations

    if segments is None:
        return [], []
    numbers = (np.asarray(table["index"]) - 1).tolist()
    annotations = segment_annotations(segments, numbers)
    if "name" in table:
        pairs = zip(annotations, table["name"], strict=True)
        annotations = [replace(item, name=str(name) or item.name) for item, name in pairs]
    measured = {name: column for name, column in table.items() if name != "name"}
    rows = [
        {name: value for name, column in measured.items() if math.isfinite(value := float(column[number]))}
        for number in range(len(annotations))
    ]
    return annotations, rows


def save_for_qupath(path: str | Path, session: SlideSession) -> str:
    """Write all that is known of a slide for QuPath: tissue, segments with their table, outlines, patches, scores.

    The window stays responsive in the meantime.

    Raises
    ------
    DataError
        If nothing is known of the slide.
    """
    from sam_mil_engine.annotations.qupath import SlideObjects, write_for_qupath

    analysis, info, table = session.analysis, session.source.info, session.table()
    outlines = snapshot_outlines(session)
    processed = None if analysis is None else analysis.processed

    def write(_progress: object) -> str:
        segments, measured = _measured_segments(None if processed is None else processed.segments, table)
        grid = None if processed is None else processed.grid
        found = SlideObjects(
            tissue=None if processed is None else processed.tissue,
            segments=segments,
            measured=measured,
            outlines=outlines().all,
            coords_px0=None if grid is None else grid.coords_px0,
            size_px0=None if grid is None else grid.size_px0,
            scores=None if analysis is None else analysis.scores,
        )
        return str(write_for_qupath(path, found, info=info))

    return str(wait_for(write, f"Saving {Path(path).name}"))


def write_table(path: str | Path, table: Mapping[str, npt.NDArray[Any]]) -> str:
    """Write columns as CSV. NaN becomes an empty cell."""
    rows = zip(*(column.tolist() for column in table.values()), strict=True)
    atomic_write(Path(path), csv_text(list(table), rows))
    return str(path)


def _tag(path: str, meta: dict[str, Any]) -> LayerTag:
    tag = tag_of(meta.get("metadata", {}))
    if tag is None:
        raise AnnotationError(
            f"the layer {meta.get('name', '')!r} does not belong to a slide, so its position on a slide is unknown",
            where=path,
            hint="Save a layer that SAM-MIL made, or draw in the annotations layer of the slide",
        )
    return tag
