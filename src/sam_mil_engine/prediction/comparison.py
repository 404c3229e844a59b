"""A processed slide against an annotation file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..annotations.compare import Comparison, Row, compare_groups
from ..annotations.model import by_class
from ..annotations.reading import read_annotation_file
from ..bag import h5
from ..bag.place import read_slide_place
from ..errors import BagError
from ..files import atomic_write
from ..tables.writing import csv_records


def compare_bag(
    bag_path: Path,
    annotations: Path,
    *,
    model: str | None = None,
    plane: tuple[int, int] = (0, 0),
    device: str = "auto",
) -> list[Comparison]:
    """Compare the groups of a bag with every class of an annotation file.

    Parameters
    ----------
    bag_path
        A native bag with segments.
    annotations
        Any file that :func:`~sam_mil_engine.read_annotations` reads.
    model
        A run or model; with it, the patches' attention and probability are compared too.
    plane
        Plane (z, t) of the annotation file.

    Raises
    ------
    BagError
        If the bag has no segments.
    AnnotationError
        If the file is malformed.
    """
    segments, grid = h5.read_segments(bag_path), h5.read_grid(bag_path)
    if segments is None or grid is None:
        raise BagError(
            "the bag has no segments",
            where=bag_path,
            hint="Run `sam-mil-engine process` with all stages",
            window_hint="Press Segment/Classify in the Analyze dock first",
        )
    bag = h5.read_bag(bag_path)
    scores = None
    if model is not None:
        from ..training.checkpoint import load_model
        from .slide import predict

        scores = predict(load_model(model, device=device), bag)
    found = read_annotation_file(annotations, info=read_slide_place(bag_path), plane=plane).annotations
    return [
        compare_groups(segments, outlines, groups=bag.groups, scores=scores, patch_size_px0=grid.size_px0)
        for outlines in by_class(found).values()
    ]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows of the same columns as CSV, in one step."""
    atomic_write(path, csv_records(rows))
