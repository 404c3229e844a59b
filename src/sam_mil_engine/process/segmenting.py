"""The masks of a slide: on one image of all tissue, at a physical resolution in tiles, or both."""

from __future__ import annotations

from pathlib import Path

from ..errors import SegmentError
from ..segment.image import segmentation_image
from ..segment.segments import Segments
from .job import SlideJob


def find_segments(job: SlideJob, key: str) -> Segments:
    """Segment the tissue as the settings say; ``key`` is that of the stage.

    Raises
    ------
    SegmentError
        If fine segments are asked for and the resolution of the slide is not known.
    """
    settings, segmenter, tissue = job.tools.segments, job.tools.segmenter, job.tissue()
    if settings.mpp is None:
        image = segmentation_image(job.slide, tissue, settings)
        return segmenter.segment(image, progress=job.progress)
    from ..segment.tiled.both_scales import with_coarse
    from ..segment.tiled.layout import lay_tiles
    from ..segment.tiled.run import segment_tiles

    layout = lay_tiles(job.slide, tissue, settings, mpp=_mpp(job))
    fine = segment_tiles(
        job.slide, tissue, layout, segmenter, folder=tiles_folder(job.bag), key=key, progress=job.progress
    )
    if not settings.both_scales:
        return fine
    return with_coarse(fine, segmenter.segment(segmentation_image(job.slide, tissue, settings)))


def discard_tiles(job: SlideJob) -> None:
    """Remove the tiles that waited for each other: the segments are in the bag now."""
    from ..segment.tiled.pieces import remove_pieces

    remove_pieces(tiles_folder(job.bag))


def tiles_folder(bag: Path) -> Path:
    """Folder next to the bag in which finished tiles of a slide wait."""
    return bag.with_name(f".{bag.stem}.segments")


def _mpp(job: SlideJob) -> tuple[float, float]:
    """Micrometres per level-0 pixel (x, y): of the slide, or as the user says."""
    said = job.tools.settings.tiles.source_mpp
    mpp = job.slide.info.mpp or (None if said is None else (said, said))
    if mpp is None:
        raise SegmentError(
            "fine segments need the resolution of the slide, which it does not state",
            where=job.slide.info.path,
            hint="Give it with --source-mpp, or leave --segment-mpp out",
            window_hint="Enter the resolution in the Analyze dock, or switch fine segments off",
        )
    return mpp
