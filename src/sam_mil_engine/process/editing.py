"""Segments that a person changed, kept in the bag in the place of the segmenter's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..bag import h5
from ..errors import SegmentError
from ..ngff import write_ome_zarr
from ..segment.titles import segments_title
from .project import Project
from .results import ProcessedSlide


def save_edited_segments(processed: ProcessedSlide, *, names: Sequence[str] = ()) -> Path | None:
    """Write edited segments, and the groups that follow from them, into the bag of the slide.

    The stages keep their keys: whoever processes the slide again with the same settings, here or from the command
    line, goes on with these segments. What the segmenter had found is kept in ``superseded/``, once.

    Parameters
    ----------
    processed
        The slide with its edited ``segments`` and, where it had groups, a ``bag`` regrouped by them.
    names
        One per segment, empty where it has none; nothing for no names at all.

    Returns
    -------
    Path or None
        The copy of the bag as the segmenter left it; None where one was kept before.

    Raises
    ------
    SegmentError
        If there are no segments, or the bag was made again in the meantime.
    ProjectError
        If the project cannot be written, or another process works on the slide.
    """
    segments, bag, path = processed.segments, processed.bag, processed.bag_path
    if segments is None:
        raise SegmentError("there are no segments to save", where=path, hint="Segment the slide first")
    project = Project(path.parents[1])
    with project.lock(processed.slide_id):
        stages = h5.read_stages(path)
        origin = h5.read_segment_origin(path)
        grid = h5.read_grid(path)
        if origin is None or (bag is not None and (grid is None or len(grid) != len(bag))):
            raise SegmentError(
                "the bag was rewritten in the meantime: its patches or segments have changed",
                where=path,
                hint="Analyze the slide again and repeat the edits",
            )
        kept = None if origin.edited else project.supersede(processed.slide_id)
        with h5.edit_bag(path, drop=("segments", "groups")) as file:
            h5.put_segments(file, segments, segmenter=origin.segmenter, version=origin.version, parts=origin.parts)
            h5.put_edits(file, names)
            h5.mark_stage(file, "segments", stages["segments"])
            if bag is not None and bag.groups is not None and "groups" in stages:
                h5.put_groups(file, bag, segments)
                h5.mark_stage(file, "groups", stages["groups"])
        write_ome_zarr(
            project.segments(processed.slide_id),
            segments.labels(),
            frame=segments.frame,
            mpp=processed.info.mpp,
            name=segments_title(origin.segmenter),
        )
    row = project.rows().get(processed.slide_id)
    if row is not None:
        project.record(replace(row, segments=len(segments)))
    return kept
