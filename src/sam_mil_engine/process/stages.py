"""The five stages of preprocessing, each from what is in the bag to a little more in the bag.

A stage is marked in the bag when everything else of it is written: a run that is killed before does it again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

from ..annotations.geojson import write_geojson
from ..annotations.model import Annotation
from ..bag import h5
from ..errors import SlideError
from ..ngff import write_ome_zarr
from ..segment.titles import segments_title
from ..slide.tissue_regions import TissueRegions
from .encoding import encode_stage
from .job import SlideJob

_PICTURE_SIDE = 1024


def find_tissue_stage(job: SlideJob, key: str) -> None:
    """Find the tissue, write its polygons and their picture."""
    from ..drawing.pictures import draw_tissue, save_picture
    from ..slide.tissue import find_tissue
    from ..slide.tissue_clip import clip_tissue

    settings = job.tools.settings
    tissue = find_tissue(job.slide, settings.resolved_tissue, progress=job.progress)
    if settings.region is not None:
        tissue = clip_tissue(tissue, settings.region)
    if tissue.warning is not None:
        warnings.warn(f"{job.slide_id}: {tissue.warning}", stacklevel=2)
    info = job.slide.info
    write_geojson(job.project.mask(job.slide_id, "geojson"), tissue_annotations(tissue), info=info)
    picture, frame = job.slide.picture(max_side=_PICTURE_SIDE)
    save_picture(job.project.mask(job.slide_id, "jpg"), draw_tissue(picture, frame, tissue))
    with h5.edit_bag(job.bag) as file:
        h5.put_tissue(file, tissue)
        h5.mark_stage(file, "tissue", key)


def tissue_annotations(tissue: TissueRegions) -> list[Annotation]:
    """Tissue pieces as annotations of the class ``Tissue``."""
    from shapely import Polygon

    return [
        Annotation(name=f"Tissue {number}", classification="Tissue", polygon=Polygon(outer, holes))
        for number, (outer, holes) in enumerate(tissue.polygons_px0, start=1)
    ]


def lay_tiles_stage(job: SlideJob, key: str) -> None:
    """Lay the grid of patches and write the picture of those that are kept."""
    from ..drawing.pictures import save_picture, stitch
    from ..slide.tiling import lay_tiles

    info = job.slide.info
    grid = lay_tiles(info, job.tissue(), job.tools.settings.tiles)
    if len(grid):
        save_picture(job.project.stitch(job.slide_id), stitch(job.slide, grid, _PICTURE_SIDE))
    with h5.edit_bag(job.bag) as file:
        h5.put_tiles(file, grid, size_px0=info.size_px0, power=info.objective_power)
        h5.mark_stage(file, "tiles", key)
    job.grid()  # says so where there is no patch


def segment_stage(job: SlideJob, key: str) -> None:
    """Segment the tissue and write the masks and the label image."""
    from ..segment.image import segmentation_image

    segmenter = job.tools.segmenter
    picture = segmentation_image(job.slide, job.tissue(), job.tools.settings.segments)
    segments = segmenter.segment(picture, progress=job.progress)
    write_ome_zarr(
        job.project.segments(job.slide_id),
        segments.label_image(),
        frame=segments.frame,
        mpp=job.slide.info.mpp,
        name=segments_title(segmenter.name),
    )
    with h5.edit_bag(job.bag) as file:
        h5.put_segments(file, segments, segmenter=segmenter.name, version=segmenter.version)
        h5.mark_stage(file, "segments", key)


def group_stage(job: SlideJob, key: str) -> None:
    """Assign the patches to the segments and average their features."""
    from ..segment.membership import assign_groups

    bag, segments, grid = h5.read_bag(job.bag), h5.read_segments(job.bag), job.grid()
    if segments is None:
        raise SlideError("the bag has no segments", where=job.bag, hint="Run the segments stage first")
    groups = assign_groups(
        segments,
        bag.coords_px0,
        grid.size_px0,
        rule=job.tools.settings.groups.rule,
        mpp=job.slide.info.mpp,
    )
    with h5.edit_bag(job.bag) as file:
        h5.put_groups(file, bag.with_groups(groups), segments)
        h5.mark_stage(file, "groups", key)


#: A stage's name -> what does it.
RUN: dict[str, Callable[[SlideJob, str], None]] = {
    "tissue": find_tissue_stage,
    "tiles": lay_tiles_stage,
    "segments": segment_stage,
    "features": encode_stage,
    "groups": group_stage,
}
