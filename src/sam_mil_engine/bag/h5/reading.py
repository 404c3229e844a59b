"""Reading a bag; a file that cannot be one is refused."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from ...errors import BagError
from ...geometry import Frame
from ...segment.groups import Groups
from ...segment.segments import Segments
from ...slide.place import SlidePlace
from ...slide.tile_grid import TileGrid
from ...slide.tissue_regions import TissueRegions
from ...tables.cells import nfc
from ..feature_bag import FeatureBag
from ..hdf5_checks import open_checked
from .layout import plain, stages_of
from .masks import read_masks

#: What to do at a window where a bag is missing or not complete.
_IN_WINDOW = "Press Segment/Classify in the Analyze dock: it runs the missing stages"


def open_bag(path: Path) -> AbstractContextManager[h5py.File]:
    """Open a bag for reading; raises :class:`BagError` where there is none, or the file is damaged."""
    return open_checked(path, missing="Run `sam-mil-engine process` first", window_hint=_IN_WINDOW)


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

    Examples
    --------
    Goes on from the slides of :mod:`sam_mil_engine`:

    >>> import sam_mil_engine as sme
    >>> bag = sme.read_bag("study/bags/synthetic-001.h5")
    >>> bag.features.shape == (len(bag), 1280), bag.coords_px0.shape == (len(bag), 2)
    (True, True)
    >>> bag.group_features.shape == (len(bag.groups), 1280)
    True
    >>> bag.attrs["encoder"]
    'efficientnet-lite0'
    """
    path = Path(path)
    with open_bag(path) as file:
        for name, stage in (("coords", "tiles"), ("features", "features")):
            if name not in file:
                raise BagError(
                    f"the bag has no /{name}",
                    where=path,
                    hint=f"Run the {stage} stage: `sam-mil-engine process`",
                    window_hint=_IN_WINDOW,
                )
        groups, group_features = _groups(file)
        attrs = {**plain(file["coords"].attrs), **plain(file["features"].attrs), **plain(file.attrs)}
        if "segments" in file:
            attrs.update(plain(file["segments"].attrs))
        return FeatureBag(
            slide_id=nfc(str(attrs.get("slide_id", path.stem))),
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
    with open_bag(path) as file:
        return stages_of(file)


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of the file itself."""
    with open_bag(path) as file:
        return plain(file.attrs)


def read_place(path: Path) -> SlidePlace:
    """Return where the coordinates of other programs lie on the slide of a bag, as far as the bag says it.

    ``bounds_known`` is False for bags of other tools and of earlier versions, which do not say it, and where the
    attribute is not four numbers.
    """
    with open_bag(path) as file:
        attrs = plain(file.attrs)
        sizes = plain(file["coords"].attrs) if "coords" in file else {}
    bounds, size = _finite_numbers(attrs.get("bounds_px0"), 4), None
    mpp, offset = (_finite_numbers(attrs.get(name), 2) for name in ("mpp", "centre_offset_um"))
    if "level0_width" in sizes and "level0_height" in sizes:
        size = (int(sizes["level0_width"]), int(sizes["level0_height"]))
    return SlidePlace(
        size_px0=size,
        bounds_px0=None
        if bounds is None or not any(bounds)
        else (int(bounds[0]), int(bounds[1]), int(bounds[2]), int(bounds[3])),
        mpp=None if mpp is None else (mpp[0], mpp[1]),
        centre_offset_um=None if offset is None else (offset[0], offset[1]),
        bounds_known=bounds is not None,
    )


def _finite_numbers(value: object, count: int) -> tuple[float, ...] | None:
    """Return an attribute that is so many finite numbers; None where it is anything else."""
    if not isinstance(value, tuple) or len(value) != count:
        return None
    if not all(isinstance(number, int | float) and np.isfinite(number) for number in value):
        return None
    return value


class SegmentOrigin(NamedTuple):
    """Where the masks of a bag come from: segmenter, its version, whether a person changed them, their names.

    ``parts`` are the further attributes that :func:`~sam_mil_engine.bag.h5.put_segments` took.
    """

    segmenter: str
    version: str
    edited: bool
    names: tuple[str, ...]
    parts: dict[str, Any]


def read_segment_origin(path: Path) -> SegmentOrigin | None:
    """Return where the masks come from, or None where there are none."""
    with open_bag(path) as file:
        if "segments" not in file:
            return None
        group, attrs = file["segments"], plain(file["segments"].attrs)
        names = tuple(group["name"].asstr()[:].tolist()) if "name" in group else ()
        edited = bool(attrs.pop("edited", False))
        segmenter, version = (str(attrs.pop(name, "unknown")) for name in ("segmenter", "segmenter_version"))
        return SegmentOrigin(segmenter=segmenter, version=version, edited=edited, names=names, parts=attrs)


def read_segmenter(path: Path) -> str | None:
    """Return the name of what made the masks, or None where there are none."""
    origin = read_segment_origin(path)
    return None if origin is None else origin.segmenter


def read_tissue(path: Path) -> TissueRegions | None:
    """Return the tissue polygons, or None where that stage did not run."""
    with open_bag(path) as file:
        if "tissue" not in file:
            return None
        group = file["tissue"]
        points, rings = group["points"][:], group["rings"][:]
        ends = [*rings[1:, 0], len(points)][: len(rings)]
        pieces: dict[int, list[np.ndarray]] = {}
        for (start, piece, _), end in zip(rings, ends, strict=True):
            pieces.setdefault(int(piece), []).append(points[start:end])
        polygons = tuple((outer, tuple(holes)) for outer, *holes in pieces.values())
        left_out = group["left_out_px0"][:] if "left_out_px0" in group else np.zeros(0)  # bags of before lack it
        return TissueRegions(
            polygons_px0=polygons,
            area_px0=group["area_px0"][:],
            method=str(group.attrs.get("method", "unknown")),
            left_out_px0=left_out,
        )


def read_grid(path: Path) -> TileGrid | None:
    """Return the patch grid, or None where that stage did not run or the file says nothing of the patches' size."""
    with open_bag(path) as file:
        if "coords" not in file or "size_px0" not in file["coords"].attrs:
            return None
        data = file["coords"]
        attrs = plain(data.attrs)
        side = tuple(max(1, round(one)) for one in attrs["size_px0"])
        return TileGrid(
            coords_px0=data[:].astype(np.int32, copy=False),
            size_px0=tuple(attrs["size_px0"]),
            read_level=int(attrs.get("patch_level", 0)),
            read_size=tuple(attrs.get("read_size", side)),
            output_size=int(attrs.get("patch_size", side[0])),
            step_px0=tuple(attrs.get("step_px0", attrs["size_px0"])),
            mpp=attrs.get("tile_mpp"),
        )


def count_segments(path: Path) -> int | None:
    """Return how many masks there are, or None where that stage did not run."""
    with open_bag(path) as file:
        return len(file["segments/box"]) if "segments" in file else None


def read_segments(path: Path) -> Segments | None:
    """Return the masks, or None where that stage did not run."""
    with open_bag(path) as file:
        if "segments" not in file:
            return None
        group = file["segments"]
        boxes, attrs = group["box"][:], plain(group["packed"].attrs)
        crops = read_masks(group, boxes)
        return Segments(
            frame=Frame(tuple(attrs["origin_px0"]), tuple(attrs["downsample"])),
            size_raster=tuple(attrs["size_raster"]),
            boxes_raster=boxes,
            crops=crops,
            area=group["area"][:] if "area" in group else np.array([crop.sum() for crop in crops], dtype=np.int64),
            predicted_iou=_numbers(group, "predicted_iou", len(crops)),
            stability=_numbers(group, "stability", len(crops)),
        )


def _numbers(group: h5py.Group, name: str, count: int) -> Any:
    """Return a column that a bag need not have: NaN where it is missing."""
    return group[name][:] if name in group else np.full(count, np.nan, dtype=np.float32)


def _groups(file: h5py.File) -> tuple[Groups | None, Any]:
    if "groups" not in file:
        return None, None
    group = file["groups"]
    area = group["area"][:]  # what is not in the format is unknown: area_um2, and the segments in their order
    groups = Groups(
        indptr=group["indptr"][:],
        indices=group["indices"][:],
        area_raster=area,
        area_um2=group["area_um2"][:] if "area_um2" in group else np.full(len(area), np.nan),
        group_of_patch=group["of_patch"][:],
        segment_of_group=group["segment"][:] if "segment" in group else np.arange(len(area), dtype=np.int32),
    )
    return groups, group["features"][:]
