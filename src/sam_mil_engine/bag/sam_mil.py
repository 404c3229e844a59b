"""SAM-MIL's folders (Fang et al. 2024, the code released with it), in and out.

::

    h5_files/SLIDE.h5    features (N + L, D) and coords (N + L, 2); group features have the coords [-1, -1]
    pt_files/SLIDE.pt    the same features as a tensor
    seg_files/SLIDE.h5   seg_K (n, 2): coords of the patches in mask K; attribute seg_index
    sam_info/SLIDE.h5    coords, is_group_feat (1 for a group), relative_area (pixels of a patch's smallest mask,
                         1 where it lies in none, 0 for a group)
    segments/SLIDE.pkl   the masks, see ``segment_pickles.py``

Group rows stand in the order of their masks, after the patches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ..errors import BagError
from ..segment.groups import Groups
from ..segment.membership import assign_groups, smallest_group
from ..segment.segments import Segments
from ..slide.tile_grid import TileGrid
from . import clam
from .feature_bag import FeatureBag
from .foreign import ForeignBag, Known, PatchFacts, SlideFiles, make_bag, without_batch_axis
from .hdf5_checks import open_checked
from .names import file_name, find_existing
from .segment_pickles import PickledSegments, read_pickled_segments, write_pickled_segments
from .torch_files import load_pt

_SEGMENT_FOLDERS = ("segments", "Segments")
_HINT = "The files do not belong together; create them again with SAM-MIL's second and third scripts"


def find(folder: Path, *, patches: Path | None = None) -> list[SlideFiles]:
    """List the slides whose features lie in ``folder``, with what SAM-MIL wrote next to them."""
    root = folder.parent if folder.is_file() else folder
    root = root.parent if root.name in ("h5_files", "pt_files") else root

    def beside(names: tuple[str, ...], file: str) -> Path | None:
        files = (find_existing(root / name / file) for name in names)
        return next((path for path in files if path.is_file()), None)

    return [
        replace(
            files,
            segments=beside(_SEGMENT_FOLDERS, f"{files.slide_id}.pkl"),
            members=beside(("seg_files",), f"{files.slide_id}.h5"),
            sam_info=beside(("sam_info", "sam"), f"{files.slide_id}.h5"),
        )
        for files in clam.find(folder, patches=patches)
    ]


def read(files: SlideFiles, known: Known) -> ForeignBag:
    """Read one slide: patches, group features, membership and masks, as far as there are files of them.

    Without ``seg_files`` the membership follows from the masks, by the released rule; without these from
    ``sam_info``: patches with the same area form a group. The groups' features are then computed as means. Without
    any of these files the group features are left out, and the result notes it.

    Raises
    ------
    BagError
        If a file is damaged, or the files contradict each other.
    """
    coords, features, facts = _rows(files)
    is_group = (np.asarray(coords) == -1).all(axis=1)
    pickled = None
    if files.segments is not None:
        pickled = read_pickled_segments(files.segments, level_downsamples=known.level_downsamples)
    found = make_bag(files, coords[~is_group], features[~is_group], facts, known)
    found = replace(found, segments=None if pickled is None else pickled.segments)
    patches = found.bag.coords_px0
    area = None if files.sam_info is None else _relative_area(files.sam_info, is_group)
    if files.members is not None:
        groups = _members(files.members, patches, area, pickled)
        if len(groups) != is_group.sum():
            raise BagError(
                f"there are {int(is_group.sum())} group features, but {len(groups)} groups in {files.members}",
                where=files.features,
                hint=_HINT,
            )
        group_features = features[is_group].astype(found.bag.features.dtype, copy=False)
        return replace(found, bag=replace(found.bag, groups=groups, group_features=group_features).check())
    if pickled is not None:
        groups = assign_groups(pickled.segments, patches, found.grid.size_px0, rule="released", mpp=known.mpp)
        return replace(found, bag=found.bag.with_groups(groups))
    if area is not None and (area > 1).any():
        note = "there are no seg_files: groups are the patches of equal area in sam_info, without overlap"
        return replace(found, bag=found.bag.with_groups(_by_area(area)), notes=(*found.notes, note))
    if is_group.any():
        note = f"{int(is_group.sum())} group features are left out: neither seg_files nor sam_info says "
        "which patches they hold"
        return replace(found, notes=(*found.notes, note))
    return found


def _rows(files: SlideFiles) -> tuple[npt.NDArray[Any], npt.NDArray[Any], PatchFacts]:
    """All rows, patches and groups: of ``h5_files``, or of ``pt_files`` with the coordinates of ``sam_info``."""
    if files.features.suffix == ".pt" and files.sam_info is not None:
        features = without_batch_axis(load_pt(files.features))
        coords, _ = clam.read_coords(files.sam_info)
        if len(coords) != len(features):
            raise BagError(
                f"there are {len(features)} features, but {len(coords)} coordinates in {files.sam_info}",
                where=files.features,
                hint=_HINT,
            )
        facts = PatchFacts() if files.patches is None else clam.patch_facts(clam.read_coords(files.patches)[1])
        return coords, features, facts
    coords, features, facts = clam.read_arrays(files)
    if coords.ndim != 2:
        raise BagError(f"coords have shape {coords.shape}", where=files.features, hint=_HINT)
    return coords, features, facts


def _relative_area(path: Path, is_group: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(N,) area of the smallest mask of every patch."""
    with open_checked(path) as file:
        if "relative_area" not in file or file["relative_area"].shape != is_group.shape:
            raise BagError(f"relative_area is missing in some of the {len(is_group)} rows", where=path, hint=_HINT)
        area: npt.NDArray[np.float64] = file["relative_area"][:].astype(np.float64)
    return area[~is_group]


def _members(
    path: Path,
    coords_px0: npt.NDArray[np.int32],
    relative_area: npt.NDArray[np.float64] | None,
    pickled: PickledSegments | None,
) -> Groups:
    """Membership from ``seg_files``; areas from the masks, else from ``sam_info``, else counted in patches."""
    number_of = {(x, y): number for number, (x, y) in enumerate(coords_px0.tolist())}
    lists: dict[int, npt.NDArray[np.int32]] = {}
    with open_checked(path) as file:
        for name, data in file.items():
            index = _seg_index(name, data, path)
            if data.ndim != 2 or data.shape[1] != 2:
                raise BagError(f"/{name} holds no coordinates", where=path, hint=_HINT)
            try:
                patches = sorted({number_of[x, y] for x, y in data[:].tolist()})
            except KeyError as error:
                raise BagError(f"/{name} names a patch at {error}, which has no feature", where=path) from error
            lists[index] = np.asarray(patches, dtype=np.int32)
    order = sorted(lists)
    members = [lists[index] for index in order]
    of_mask: dict[int, int] = {}
    if pickled is not None:
        of_mask = {number: position for position, number in enumerate(pickled.numbers.tolist())}
        if not set(order) <= set(of_mask):
            raise BagError("it names masks that the segments do not have", where=path, hint=_HINT)
    area = np.asarray(
        [
            pickled.segments.area[of_mask[index]]
            if pickled is not None
            # the area of a mask is that of every patch whose smallest it is; no other patch has a larger one
            else (len(patches) if relative_area is None else relative_area[patches].max())
            for index, patches in zip(order, members, strict=True)
        ],
        dtype=np.float64,
    )
    return _groups(members, area, len(coords_px0), np.asarray([of_mask.get(index, index) for index in order]))


def _seg_index(name: str, data: object, path: Path) -> int:
    if not isinstance(data, h5py.Dataset):
        raise BagError(f"/{name} is not a dataset", where=path, hint=_HINT)
    text = str(data.attrs.get("seg_index", name.removeprefix("seg_")))
    if not text.isdecimal():
        raise BagError(f"/{name} names no mask", where=path, hint=_HINT)
    return int(text)


def _groups(
    members: list[npt.NDArray[np.int32]], area: npt.NDArray[np.float64], n: int, segment: npt.NDArray[np.integer]
) -> Groups:
    sizes = np.asarray([len(patches) for patches in members], dtype=np.int64)
    indices = np.concatenate([*members, np.zeros(0, dtype=np.int32)]).astype(np.int32)
    return Groups(
        indptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        indices=indices,
        area_raster=area,
        area_um2=np.full(len(area), np.nan),
        group_of_patch=smallest_group(area, sizes, indices, n),
        segment_of_group=segment.astype(np.int32),
    )


def _by_area(relative_area: npt.NDArray[np.float64]) -> Groups:
    areas = np.unique(relative_area[relative_area > 1])
    members = [np.flatnonzero(relative_area == area).astype(np.int32) for area in areas]
    return _groups(members, areas, len(relative_area), np.arange(len(areas)))


def write(
    folder: Path,
    bag: FeatureBag,
    grid: TileGrid,
    *,
    segments: Segments | None = None,
    slide_size_px0: tuple[int, int] | None = None,
) -> list[Path]:
    """Write one slide's six files: five where there are no masks; returns their paths.

    Raises
    ------
    BagError
        If the bag has no groups.
    DataError
        If the slide's name is not a valid file name.
    ProjectError
        If a file cannot be written.
    """
    if bag.groups is None or bag.group_features is None:
        raise BagError(
            "the bag has no groups",
            where=bag.slide_id,
            hint="Run `sam-mil-engine group` first",
            window_hint="Press Segment/Classify in the Analyze dock first",
        )
    name, groups = file_name(bag.slide_id), bag.groups
    area = groups.area_raster
    written = [clam.write_patches(folder, bag, grid, slide_size_px0=slide_size_px0)]
    if segments is not None:
        path = folder / _SEGMENT_FOLDERS[0] / f"{name}.pkl"
        pixels = write_pickled_segments(path, segments, patch_size_px0=round(grid.size_px0[0]))
        area = pixels[groups.segment_of_group].astype(np.float64)
        written.append(path)
    features = np.concatenate([bag.features, bag.group_features]).astype(np.float32)
    coords = np.concatenate([bag.coords_px0, np.full((len(groups), 2), -1, dtype=np.int32)])
    is_group = np.repeat([0, 1], [len(bag), len(groups)])
    written += clam.write_features(folder, name, features, coords)
    members = {
        f"seg_{segment}": bag.coords_px0[groups.patches(number)]
        for number, segment in enumerate(groups.segment_of_group.tolist())
    }
    indices: Mapping[str, Mapping[str, Any]] = {key: {"seg_index": int(key[4:])} for key in members}
    of_patch = groups.group_of_patch
    relative = np.append(area, 1.0)[of_patch]  # UNSEGMENTED is -1: the last
    info = {
        "coords": coords,
        "is_group_feat": is_group,
        "relative_area": np.append(relative, np.zeros(len(groups))),
    }
    info["relative_area"] = info["relative_area"].astype(np.int64)
    for part, arrays, attributes in (("seg_files", members, indices), ("sam_info", info, {})):
        clam.write_growing(folder / part / f"{name}.h5", arrays, attributes)
        written.append(folder / part / f"{name}.h5")
    return written
