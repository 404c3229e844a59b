"""Writing a bag, stage by stage."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ...errors import BagError
from ...segment.segments import Segments
from ...slide.artefact_map import KINDS, ArtefactMap
from ...slide.tile_grid import TileGrid
from ...slide.tissue_regions import TissueRegions
from ..feature_bag import FeatureBag
from ..hdf5_writing import written_hdf5
from ..magnification import magnification
from .layout import FORMAT_VERSION, STAGE_NAMES, stages_of
from .masks import put_masks


@contextmanager
def edit_bag(path: Path, *, drop: Collection[str] = (), fresh: bool = False) -> Iterator[h5py.File]:
    """Open a copy of the bag for writing; it takes the bag's place when the block succeeds.

    ``drop`` names stages whose old content is left behind; ``fresh`` begins with an empty bag.
    """
    gone = {name for stage in drop for name in STAGE_NAMES[stage]}
    old = path.exists() and not fresh
    with written_hdf5(path, copy_of=path if old and not gone else None) as file:
        if old and gone:
            _copy_except(path, file, gone)
        file.attrs["format_version"] = FORMAT_VERSION
        if drop:
            stages = {name: key for name, key in stages_of(file).items() if name not in drop}
            file.attrs["stages"] = json.dumps(stages)
        yield file


def _copy_except(source: Path, target: h5py.File, gone: Collection[str]) -> None:
    with h5py.File(source, "r") as old:
        for name, value in old.attrs.items():
            target.attrs[name] = value
        for name in old:
            if name not in gone:
                old.copy(name, target)


def mark_stage(file: h5py.File, stage: str, key: str) -> None:
    """Record that ``stage`` is done with the settings of ``key``."""
    file.attrs["stages"] = json.dumps({**stages_of(file), stage: key})


def copy_stage(source: Path, file: h5py.File, stage: str) -> None:
    """Copy what ``stage`` made from another bag of the same slide, and its mark."""
    with h5py.File(source, "r") as other:
        for name in STAGE_NAMES[stage]:
            if name in other:
                other.copy(name, file)
        mark_stage(file, stage, stages_of(other)[stage])


def put_attributes(file: h5py.File, values: Mapping[str, Any]) -> None:
    """Set attributes of the file; None values are left out."""
    for name, value in values.items():
        if value is not None:
            file.attrs[name] = value


def put_tissue(file: h5py.File, tissue: TissueRegions) -> None:
    """Store the tissue polygons."""
    points: list[np.ndarray] = []
    rings: list[tuple[int, int, int]] = []
    count = 0
    for piece, (outer, holes) in enumerate(tissue.polygons_px0):
        for is_hole, ring in [(0, outer), *((1, hole) for hole in holes)]:
            points.append(ring)
            rings.append((count, piece, is_hole))
            count += len(ring)
    group = file.create_group("tissue")
    group["points"] = np.concatenate(points) if points else np.zeros((0, 2))
    group["rings"] = np.asarray(rings, dtype=np.int64).reshape(-1, 3)
    group["area_px0"] = tissue.area_px0
    group["left_out_px0"] = tissue.left_out_px0
    group.attrs["method"] = tissue.method


def put_tiles(file: h5py.File, grid: TileGrid, *, size_px0: tuple[int, int] | None, power: float | None) -> None:
    """Store the patch coordinates, with the attributes that CLAM and TRIDENT write and look for.

    ``size_px0`` is the slide's, where it is known. Where a patch is resampled after reading, ``patch_size`` is its
    size afterwards: that is TRIDENT's meaning; CLAM's is the size before, which is ``read_size``. A magnification
    that the slide does not name is the usual one of its resolution.
    """
    data = file.create_dataset("coords", data=grid.coords_px0.astype(np.int32))
    side = round(grid.size_px0[0])
    downsample = grid.read_downsample
    level_dim = None if size_px0 is None else np.round(np.divide(size_px0, downsample)).astype(int)
    gap = (grid.size_px0[0] - grid.step_px0[0]) / grid.size_px0[0]
    scale = grid.output_size / grid.size_px0[0]
    level0 = magnification(None if grid.mpp is None else grid.mpp * scale, power)
    attributes: dict[str, Any] = {
        "name": file.attrs["slide_id"],
        "patch_size": grid.output_size,
        "patch_level": grid.read_level,
        "read_size": grid.read_size,
        "patch_size_level0": side,
        "size_px0": grid.size_px0,
        "step_px0": grid.step_px0,
        "overlap": round(gap * grid.output_size),
        "downsample": downsample,
        "level_dim": size_px0,
        "downsampled_level_dim": level_dim,
        "level0_width": None if size_px0 is None else size_px0[0],
        "level0_height": None if size_px0 is None else size_px0[1],
        "save_path": "bags",  # in the project; an absolute path would make equal bags differ
        "savetodir": "bags",
        "tile_mpp": grid.mpp,
        "level0_magnification": level0,
        "target_magnification": None if level0 is None else level0 * scale,
    }
    for name, value in attributes.items():
        if value is not None:
            data.attrs[name] = value


def put_artefacts(
    file: h5py.File, found: ArtefactMap, of_patch: npt.NDArray[np.uint8], *, dropped: Mapping[str, int]
) -> None:
    """Store where the slide is spoilt, which patches are, and how many were left out for it."""
    group = file.create_group("artefacts")
    kinds = group.create_dataset("kinds", data=found.kinds, compression="gzip")
    kinds.attrs["names"] = KINDS
    kinds.attrs["origin_px0"] = found.frame.origin_px0
    kinds.attrs["downsample"] = found.frame.downsample
    patches = group.create_dataset("of_patch", data=of_patch)
    patches.attrs["dropped"] = json.dumps(dict(dropped))


def put_segments(
    file: h5py.File, segments: Segments, *, segmenter: str, version: str, parts: Mapping[str, Any] | None = None
) -> None:
    """Store the masks, bit-packed, and the frame they live in; ``parts`` are further attributes."""
    group = file.create_group("segments")
    data = put_masks(group, segments)
    data.attrs["origin_px0"] = segments.frame.origin_px0
    data.attrs["downsample"] = segments.frame.downsample
    data.attrs["size_raster"] = segments.size_raster
    group["box"] = segments.boxes_raster
    group["area"] = segments.area
    group["predicted_iou"] = segments.predicted_iou
    group["stability"] = segments.stability
    group.attrs["segmenter"] = segmenter
    group.attrs["segmenter_version"] = version
    for name, value in (parts or {}).items():
        group.attrs[name] = value


def put_edits(file: h5py.File, names: Sequence[str]) -> None:
    """Mark the stored masks as changed by a person, and store their names, where they have any."""
    group = file["segments"]
    group.attrs["edited"] = True
    if any(names):
        group.create_dataset("name", data=list(names), dtype=h5py.string_dtype())


def put_features(file: h5py.File, features: np.ndarray, attributes: Mapping[str, Any]) -> None:
    """Store the patch features (N, D) in blocks of up to 512 rows."""
    n, d = features.shape
    chunks = (min(n, 512), d) if n else None
    data = file.create_dataset("features", data=features, chunks=chunks)
    for name, value in attributes.items():
        data.attrs[name] = value


def put_groups(file: h5py.File, bag: FeatureBag, segments: Segments | None) -> None:
    """Store the groups of ``bag`` and their features; without ``segments``, nothing is said of their outlines."""
    groups = bag.groups
    if groups is None:
        raise BagError("the bag has no groups to store", where=bag.slide_id)
    group = file.create_group("groups")
    chosen = groups.segment_of_group
    group["features"] = bag.group_features
    group["area"] = groups.area_raster
    group["area_um2"] = groups.area_um2
    if segments is not None:
        group["box"] = segments.boxes_raster[chosen]
        group["predicted_iou"] = segments.predicted_iou[chosen]
        group["stability"] = segments.stability[chosen]
    group["indptr"] = groups.indptr
    group["indices"] = groups.indices
    group["of_patch"] = groups.group_of_patch
    group["segment"] = chosen
