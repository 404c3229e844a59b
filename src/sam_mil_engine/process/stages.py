"""The five stages of preprocessing, each from what is in the bag to a little more in the bag.

A stage is marked in the bag when everything else of it is written: a run that is killed before does it again.

``process --encoder A --encoder B`` writes ``bags/SLIDE.h5`` with the features of A, and ``bags-B/SLIDE.h5`` with
those of B: whole bags, which every command takes (``train --bags PROJECT/bags-B``). Every patch is read once and
goes through every encoder that lacks it; tissue, patches and segments are copied from the slide's own bag.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..annotations.drawn_tissue import tissue_annotations
from ..annotations.geojson import write_geojson
from ..bag import h5
from ..bag.partial import PartialFeatures, count_saved_rows
from ..devices import pick_device, reading_threads
from ..errors import SlideError
from ..ngff import write_ome_zarr
from ..segment.parts import parts_of
from ..segment.titles import segments_title
from ..settings import STAGES
from .job import SlideJob, depends

if TYPE_CHECKING:
    from ..features.encoder import Encoder
    from ..features.patch_stream import PatchStream

_IMAGE_SIDE = 1024
#: Patches that are enlarged by more than this are reported: 20x slides differ by a few percent among scanners.
_ENLARGED = 1.1
#: The stages whose results every encoder has for itself; those of the others are taken over.
OWN_STAGES = ("features", "groups")


def find_tissue_stage(job: SlideJob, key: str) -> None:
    """Find the tissue, write its polygons and their image."""
    from ..drawing.images import draw_tissue, save_image
    from ..slide.tissue import find_tissue
    from ..slide.tissue_clip import clip_tissue

    settings, info, drawn = job.tools.settings, job.slide.info, job.drawn.tissue
    with job.slide.keeping_pixels():
        how = settings.resolved_tissue
        tissue = find_tissue(job.slide, how, progress=job.progress) if drawn is None else drawn
        image, frame = job.slide.thumbnail(_IMAGE_SIDE)
    if drawn is not None:
        write_geojson(job.project.drawn_tissue(job.slide_id), tissue_annotations(drawn), info=info)
    if settings.region is not None:
        tissue = clip_tissue(tissue, settings.region)
    tissue = job.drawn.cut(tissue)
    if tissue.warning is not None:
        warnings.warn(f"{job.slide_id}: {tissue.warning}", stacklevel=2)
    write_geojson(job.project.mask(job.slide_id, "geojson"), tissue_annotations(tissue), info=info)
    save_image(job.project.mask(job.slide_id, "jpg"), draw_tissue(image, frame, tissue))
    with h5.edit_bag(job.bag) as file:
        h5.put_tissue(file, tissue)
        h5.mark_stage(file, "tissue", key)


def tile_stage(job: SlideJob, key: str) -> None:
    """Make the grid of patches, look for what spoils them if asked, and write the image of those that are kept."""
    from ..drawing.images import save_image, stitch
    from ..slide.artefact_map import count_kinds
    from ..slide.artefacts import find_artefacts
    from ..slide.tiling import make_tile_grid

    info = job.slide.info
    settings = job.tools.settings.tiles
    grid = make_tile_grid(info, job.tissue(), settings)
    if (enlarged := grid.output_size / min(grid.size_px0)) > _ENLARGED and grid.mpp is not None:
        warnings.warn(
            f"{job.slide_id}: the slide has {grid.mpp * enlarged:.3g} µm per pixel and patches are read at"
            f" {grid.mpp:g}: they are enlarged {enlarged:.3g} times, and show less than patches of a finer slide",
            stacklevel=2,
        )
    artefacts = None if settings.artefacts == "keep" else find_artefacts(job.slide, progress=job.progress)
    spoilt = np.zeros(0, np.uint8) if artefacts is None else artefacts.of_patches(grid)
    dropped: dict[str, int] = {}
    if settings.artefacts == "drop" and spoilt.any():
        dropped = count_kinds(spoilt)
        grid, spoilt = replace(grid, coords_px0=grid.coords_px0[spoilt == 0]), spoilt[spoilt == 0]
    if len(grid):
        save_image(job.project.stitch(job.slide_id), stitch(job.slide, grid, _IMAGE_SIDE))
    with h5.edit_bag(job.bag) as file:
        h5.put_tiles(file, grid, size_px0=info.size_px0, power=info.objective_power)
        if artefacts is not None:
            h5.put_artefacts(file, artefacts, spoilt, dropped=dropped)
        h5.mark_stage(file, "tiles", key)
    job.grid()  # says so where there is no patch


def segment_stage(job: SlideJob, key: str) -> None:
    """Segment the tissue and write the masks and the label image."""
    from .segmenting import discard_tiles, find_segments

    segmenter = job.tools.segmenter
    segments = find_segments(job, key)
    write_ome_zarr(
        job.project.segments(job.slide_id),
        segments.labels(),
        frame=segments.frame,
        mpp=job.slide.info.mpp,
        name=segments_title(segmenter.name),
    )
    with h5.edit_bag(job.bag) as file:
        h5.put_segments(
            file,
            segments,
            segmenter=segmenter.name,
            version=segmenter.version,
            parts=parts_of(segmenter.name, job.tools.segments),
        )
        h5.mark_stage(file, "segments", key)
    discard_tiles(job)


@dataclass(frozen=True, slots=True)
class _Missing:
    """Features that a bag does not hold, and the key of the settings they are made with."""

    job: SlideJob
    key: str


def _missing(job: SlideJob) -> list[_Missing]:
    """List what the encoders still have to do; empty before the tiles stage is done."""
    laid = h5.read_stages(job.bag)
    if "tiles" not in laid:
        return []
    found: list[_Missing] = []
    for one in job.of_every_encoder():
        key = job.tools.stage_key("features", "", laid, encoder=one.encoder)
        if h5.read_stages(one.bag).get("features") != key:
            found.append(_Missing(one, key))
    return found


def begin_reading(job: SlideJob) -> PatchStream | None:
    """Read the first patches that have to be encoded, before the encoder asks; None where there are none.

    The caller closes the stream.
    """
    missing, grid = _missing(job), h5.read_grid(job.bag)
    if not missing or grid is None:
        return None
    start = min(count_saved_rows(one.job.bag, key=one.key) for one in missing)
    return _stream(job, start) if start < len(grid) else None


def _stream(job: SlideJob, start: int) -> PatchStream:
    from ..features.patch_stream import PatchStream

    settings = job.tools.settings.features
    threads = settings.readers or reading_threads(pick_device(job.tools.device))
    return PatchStream(
        job.slide, job.grid(), start=start, batch=settings.batch_size, block=settings.block, threads=threads
    )


def encode_stage(job: SlideJob, key: str) -> None:
    """Encode the patches, block by block, by every encoder that lacks them, and store what this job's made.

    Goes on where an earlier run was killed. What the other encoders made waits next to their bags until it is their
    turn; then there is nothing left to read.
    """
    missing, settings = _missing(job), job.tools.settings.features
    encoders = [job.tools.encoder_named(one.job.encoder) for one in missing]
    parts = [
        PartialFeatures(one.job.bag, key=one.key, width=encoder.dim, dtype=settings.dtype)
        for one, encoder in zip(missing, encoders, strict=True)
    ]
    _encode(job, encoders, parts)
    own = [one.job.side for one in missing].index(job.side)
    encoder = encoders[own]
    attributes = {
        "encoder": encoder.name,
        "encoder_version": encoder.version,
        "weights_sha256": encoder.weights_sha256,
        "preprocessing": encoder.preprocessing,
    }
    with h5.edit_bag(job.bag) as file:
        h5.put_features(file, parts[own].read(), attributes)
        h5.mark_stage(file, "features", key)
    parts[own].discard()


def _encode(job: SlideJob, encoders: list[Encoder], parts: list[PartialFeatures]) -> None:
    from ..features.encode import encode_patches

    settings, starts = job.tools.settings.features, [part.rows for part in parts]
    tiles = job.tiles
    if tiles is None or tiles.start != min(starts):
        tiles = _stream(job, min(starts))
    with closing(tiles):
        for _, blocks in encode_patches(tiles, encoders, settings=settings, starts=starts, progress=job.progress):
            for part, block in zip(parts, blocks, strict=True):
                if len(block):
                    part.append(block)


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


def follow(job: SlideJob, *, replacing: Callable[[Collection[str]], None]) -> None:
    """Take over from the slide's own bag what this one shares with it and does not hold yet.

    Parameters
    ----------
    job
        The slide with one of its further encoders.
    replacing
        Called before anything is written, with the stages of this bag that are invalid from now on.
    """
    main = job.project.bag(job.slide_id)
    there, here = h5.read_stages(main), h5.read_stages(job.bag)
    changed = [stage for stage in STAGES if stage not in OWN_STAGES and there.get(stage) != here.get(stage)]
    if not changed:
        return
    replacing([name for name in STAGES if name in here and any(depends(name, stage) for stage in changed)])
    with h5.edit_bag(job.bag) as file:
        for stage in changed:
            if stage in there:
                h5.copy_stage(main, file, stage)


#: A stage's name -> what does it.
RUN: dict[str, Callable[[SlideJob, str], None]] = {
    "tissue": find_tissue_stage,
    "tiles": tile_stage,
    "segments": segment_stage,
    "features": encode_stage,
    "groups": group_stage,
}
