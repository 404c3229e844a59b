"""The five stages of preprocessing, each from what is in the bag to a little more in the bag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..annotations.geojson import write_geojson
from ..annotations.model import Annotation
from ..bag import h5
from ..bag.partial import PartialFeatures
from ..errors import SlideError
from ..ngff import write_ome_zarr
from ..progress import ProgressCallback
from ..slide.reader import Slide
from ..slide.tile_grid import TileGrid
from ..slide.tissue_regions import TissueRegions
from .project import Project
from .tools import Tools

#: What a stage needs to be done before it.
NEEDS: dict[str, tuple[str, ...]] = {
    "tissue": (),
    "tiles": ("tissue",),
    "segments": ("tissue",),
    "features": ("tiles",),
    "groups": ("tiles", "segments", "features"),
}

_PICTURE_SIDE = 1024


@dataclass(frozen=True, slots=True)
class SlideJob:
    """One slide on its way through the stages."""

    slide: Slide
    slide_id: str
    project: Project
    tools: Tools
    progress: ProgressCallback

    @property
    def bag(self) -> Path:
        """Path of the bag."""
        return self.project.bag(self.slide_id)

    def tissue(self) -> TissueRegions:
        """Return the tissue of the bag; raises :class:`SlideError` where there is none at all."""
        tissue = h5.read_tissue(self.bag)
        if tissue is None or len(tissue) == 0:
            if self.tools.settings.region is not None:
                raise SlideError(
                    "no tissue was found in the region",
                    where=self.slide.info.path,
                    hint="Choose a region that holds tissue, or the whole slide",
                )
            raise SlideError(
                "no tissue was found",
                where=self.slide.info.path,
                hint="Look at the slide; if it does hold tissue, try --preset biopsy or another --preset",
            )
        return tissue

    def grid(self) -> TileGrid:
        """Return the patches of the bag; raises :class:`SlideError` where there is none."""
        grid = h5.read_grid(self.bag)
        if grid is None or len(grid) == 0:
            raise SlideError(
                "no patch lies in the tissue",
                where=self.slide.info.path,
                hint="Choose a smaller --patch-size, or look at the picture in masks/",
            )
        return grid


def find_tissue_stage(job: SlideJob, key: str) -> None:
    """Find the tissue, write its polygons and their picture."""
    from ..report.pictures import draw_tissue, save_picture
    from ..slide.tissue import find_tissue
    from ..slide.tissue_clip import clip_tissue

    settings = job.tools.settings
    tissue = find_tissue(job.slide, settings.resolved_tissue, progress=job.progress)
    if settings.region is not None:
        tissue = clip_tissue(tissue, settings.region)
    info = job.slide.info
    with h5.edit_bag(job.bag) as file:
        h5.put_tissue(file, tissue)
        h5.mark_stage(file, "tissue", key)
    write_geojson(job.project.mask(job.slide_id, "geojson"), tissue_annotations(tissue), info=info)
    picture, frame = job.slide.picture(max_side=_PICTURE_SIDE)
    save_picture(job.project.mask(job.slide_id, "jpg"), draw_tissue(picture, frame, tissue))


def tissue_annotations(tissue: TissueRegions) -> list[Annotation]:
    """Tissue pieces as annotations of the class ``Tissue``."""
    from shapely import Polygon

    return [
        Annotation(name=f"Tissue {number}", classification="Tissue", polygon=Polygon(outer, holes))
        for number, (outer, holes) in enumerate(tissue.polygons_px0, start=1)
    ]


def lay_tiles_stage(job: SlideJob, key: str) -> None:
    """Lay the grid of patches and write the picture of those that are kept."""
    from ..report.pictures import save_picture, stitch
    from ..slide.tiling import lay_tiles

    info = job.slide.info
    grid = lay_tiles(info, job.tissue(), job.tools.settings.tiles)
    with h5.edit_bag(job.bag) as file:
        h5.put_tiles(file, grid, size_px0=info.size_px0, power=info.objective_power)
        h5.mark_stage(file, "tiles", key)
    save_picture(job.project.stitch(job.slide_id), stitch(job.slide, job.grid(), _PICTURE_SIDE))


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
        name="SAM segments",
    )
    with h5.edit_bag(job.bag) as file:
        h5.put_segments(file, segments, segmenter=segmenter.name, version=segmenter.version)
        h5.mark_stage(file, "segments", key)


def encode_stage(job: SlideJob, key: str) -> None:
    """Encode the patches, block by block; goes on where an earlier run was killed."""
    from ..features.encode import encode_tiles

    settings, encoder, grid = job.tools.settings.features, job.tools.encoder, job.grid()
    partial = PartialFeatures(job.bag, key=key, width=encoder.dim, dtype=settings.dtype)
    blocks = encode_tiles(job.slide, grid, encoder, settings=settings, start=partial.rows, progress=job.progress)
    for _, block in blocks:
        partial.append(block)
    attributes = {
        "encoder": encoder.name,
        "encoder_version": encoder.version,
        "weights_sha256": encoder.weights_sha256,
        "preprocessing": encoder.preprocessing,
    }
    with h5.edit_bag(job.bag) as file:
        h5.put_features(file, partial.read(), attributes)
        h5.mark_stage(file, "features", key)
    partial.discard()


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
