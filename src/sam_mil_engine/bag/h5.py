"""The native bag: one HDF5 file a slide. This module alone knows its layout.

::

    /tissue/points (P, 2) float64   /tissue/rings (R, 3) int64: first point, piece, 1 where a hole
    /coords (N, 2) int32            attributes: a superset of CLAM's and TRIDENT's names
    /features (N, D)                attributes: encoder, encoder_version, weights_sha256, preprocessing
    /segments/packed (B,) uint8     the masks, each crop bit-packed on its own; attributes: the frame
    /segments/box (S, 4)  /area  /predicted_iou  /stability   /name (S,) and the attribute edited: by hand
    /groups/features (L, D)  /area  /area_um2  /box  /predicted_iou  /stability  /indptr  /indices
    /groups/of_patch (N,)  /segment (L,)
    attributes: format_version, slide_id, slide_sha, slide_path, mpp, stages (JSON: stage -> key), settings_key

Only ``/coords``, ``/features`` and ``slide_id`` are needed to read a bag. Unknown names are left alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from ..errors import BagError
from ..files import atomic_path
from ..geometry import Frame
from ..segment.groups import Groups
from ..segment.segments import Segments
from ..slide.tile_grid import TileGrid
from ..slide.tissue_regions import TissueRegions
from .feature_bag import FeatureBag
from .hdf5_checks import open_checked
from .magnification import magnification

FORMAT_VERSION = 1

#: What each stage of ``process`` owns in the file.
STAGE_NAMES: dict[str, tuple[str, ...]] = {
    "tissue": ("tissue",),
    "tiles": ("coords",),
    "segments": ("segments",),
    "features": ("features",),
    "groups": ("groups",),
}


# --- writing ---------------------------------------------------------------------------------------------------


@contextmanager
def edit_bag(path: Path, *, drop: Collection[str] = (), fresh: bool = False) -> Iterator[h5py.File]:
    """Open a copy of the bag for writing; it takes the bag's place when the block ends well.

    ``drop`` names stages whose old content is left behind; ``fresh`` begins with an empty bag.
    """
    with atomic_path(path) as temporary:
        gone = {name for stage in drop for name in STAGE_NAMES[stage]}
        old = path.exists() and not fresh
        if old and not gone:
            shutil.copyfile(path, temporary)
        with h5py.File(temporary, "a") as file:
            if old and gone:
                _copy_except(path, file, gone)
            file.attrs["format_version"] = FORMAT_VERSION
            if drop:
                stages = {name: key for name, key in _stages(file).items() if name not in drop}
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
    file.attrs["stages"] = json.dumps({**_stages(file), stage: key})


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
    group.attrs["method"] = tissue.method


def put_tiles(file: h5py.File, grid: TileGrid, *, size_px0: tuple[int, int] | None, power: float | None) -> None:
    """Store the patch coordinates, with the attributes that CLAM and TRIDENT write and look for.

    ``size_px0`` is the slide's, where it is known. Where a patch is resampled after reading, ``patch_size`` is its
    size afterwards: that is TRIDENT's meaning; CLAM's is the size before, which is ``read_size``. A magnification
    that the slide does not name is the usual one of its resolution.
    """
    data = file.create_dataset("coords", data=grid.coords_px0.astype(np.int32))
    side = round(grid.size_px0[0])
    downsample = np.divide(grid.size_px0, grid.read_size)
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
        "downsampled_level_dim": None if size_px0 is None else np.round(size_px0 / downsample).astype(int),
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


def put_segments(file: h5py.File, segments: Segments, *, segmenter: str, version: str) -> None:
    """Store the masks, bit-packed, and the frame they live in."""
    group = file.create_group("segments")
    packed = [np.packbits(crop.ravel()) for crop in segments.crops]
    data = group.create_dataset("packed", data=np.concatenate(packed) if packed else np.zeros(0, np.uint8))
    data.attrs["origin_px0"] = segments.frame.origin_px0
    data.attrs["downsample"] = segments.frame.downsample
    data.attrs["size_raster"] = segments.size_raster
    group["box"] = segments.boxes_raster
    group["area"] = segments.area
    group["predicted_iou"] = segments.predicted_iou
    group["stability"] = segments.stability
    group.attrs["segmenter"] = segmenter
    group.attrs["segmenter_version"] = version


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


# --- reading ---------------------------------------------------------------------------------------------------


def _open(path: Path) -> AbstractContextManager[h5py.File]:
    return open_checked(path, missing="Run `sam-mil-engine process` first")


def read_bag(path: str | Path) -> FeatureBag:
    """Read a bag: coordinates, features and, where they are, groups.

    Returns
    -------
    FeatureBag
        ``attrs`` holds the attributes of the file, of ``/coords`` and of ``/features``, and ``path``.

    Raises
    ------
    BagError
        If the file is missing, damaged, or has no features yet.
    """
    path = Path(path)
    with _open(path) as file:
        for name, stage in (("coords", "tiles"), ("features", "features")):
            if name not in file:
                raise BagError(
                    f"the bag has no /{name}", where=path, hint=f"Run the {stage} stage: `sam-mil-engine process`"
                )
        groups, group_features = _groups(file)
        attrs = {**_plain(file["coords"].attrs), **_plain(file["features"].attrs), **_plain(file.attrs)}
        if "segments" in file:
            attrs.update(_plain(file["segments"].attrs))
        return FeatureBag(
            slide_id=str(attrs.get("slide_id", path.stem)),
            coords_px0=file["coords"][:].astype(np.int32, copy=False),
            features=file["features"][:],
            groups=groups,
            group_features=group_features,
            attrs={**attrs, "path": str(path)},
        )


def read_stages(path: Path) -> dict[str, str]:
    """Return stage -> key of what is done in this bag; empty where there is no file."""
    if not Path(path).exists():
        return {}
    with _open(path) as file:
        return _stages(file)


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of the file itself."""
    with _open(path) as file:
        return _plain(file.attrs)


class SegmentOrigin(NamedTuple):
    """Where the masks of a bag come from: segmenter, its version, whether a person changed them, their names."""

    segmenter: str
    version: str
    edited: bool
    names: tuple[str, ...]


def read_segment_origin(path: Path) -> SegmentOrigin | None:
    """Return where the masks come from, or None where there are none."""
    with _open(path) as file:
        if "segments" not in file:
            return None
        group, attrs = file["segments"], _plain(file["segments"].attrs)
        names = tuple(group["name"].asstr()[:].tolist()) if "name" in group else ()
        edited = bool(attrs.get("edited", False))
        return SegmentOrigin(str(attrs["segmenter"]), str(attrs["segmenter_version"]), edited, names)


def read_segmenter(path: Path) -> str | None:
    """Return the name of the segmenter that made the masks, or None where there are none."""
    with _open(path) as file:
        return str(file["segments"].attrs["segmenter"]) if "segments" in file else None


def read_tissue(path: Path) -> TissueRegions | None:
    """Return the tissue polygons, or None where that stage did not run."""
    with _open(path) as file:
        if "tissue" not in file:
            return None
        group = file["tissue"]
        points, rings = group["points"][:], group["rings"][:]
        ends = [*rings[1:, 0], len(points)][: len(rings)]
        pieces: dict[int, list[np.ndarray]] = {}
        for (start, piece, _), end in zip(rings, ends, strict=True):
            pieces.setdefault(int(piece), []).append(points[start:end])
        polygons = tuple((outer, tuple(holes)) for outer, *holes in pieces.values())
        return TissueRegions(polygons, group["area_px0"][:], method=str(group.attrs["method"]))


def read_grid(path: Path) -> TileGrid | None:
    """Return the patch grid, or None where that stage did not run or the file says nothing of the patches' size."""
    with _open(path) as file:
        if "coords" not in file or "size_px0" not in file["coords"].attrs:
            return None
        data = file["coords"]
        attrs = _plain(data.attrs)
        return TileGrid(
            coords_px0=data[:].astype(np.int32, copy=False),
            size_px0=tuple(attrs["size_px0"]),
            read_level=int(attrs["patch_level"]),
            read_size=tuple(attrs["read_size"]),
            output_size=int(attrs["patch_size"]),
            step_px0=tuple(attrs["step_px0"]),
            mpp=attrs.get("tile_mpp"),
        )


def read_segments(path: Path) -> Segments | None:
    """Return the masks, or None where that stage did not run."""
    with _open(path) as file:
        if "segments" not in file:
            return None
        group = file["segments"]
        packed, boxes = group["packed"][:], group["box"][:]
        attrs = _plain(group["packed"].attrs)
        crops, start = [], 0
        for _, _, width, height in boxes:
            count = -(-int(width) * int(height) // 8)
            bits = np.unpackbits(packed[start : start + count], count=int(width) * int(height))
            crops.append(bits.astype(bool).reshape(height, width))
            start += count
        return Segments(
            frame=Frame(tuple(attrs["origin_px0"]), tuple(attrs["downsample"])),
            size_raster=tuple(attrs["size_raster"]),
            boxes_raster=boxes,
            crops=tuple(crops),
            area=group["area"][:],
            predicted_iou=group["predicted_iou"][:],
            stability=group["stability"][:],
        )


def _groups(file: h5py.File) -> tuple[Groups | None, Any]:
    if "groups" not in file:
        return None, None
    group = file["groups"]
    groups = Groups(
        indptr=group["indptr"][:],
        indices=group["indices"][:],
        area_raster=group["area"][:],
        area_um2=group["area_um2"][:],
        group_of_patch=group["of_patch"][:],
        segment_of_group=group["segment"][:],
    )
    return groups, group["features"][:]


def _stages(file: h5py.File) -> dict[str, str]:
    return {str(name): str(key) for name, key in json.loads(file.attrs.get("stages", "{}")).items()}


def _plain(attributes: Any) -> dict[str, Any]:
    """HDF5 attributes as Python numbers, strings and tuples."""
    result: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, np.ndarray):
            result[name] = tuple(value.tolist())
        else:
            result[name] = value.item() if isinstance(value, np.generic) else value
    return result
