"""Which patch lies in which segment: the membership matrix M (methods §1).

The paper's code loops over patches and masks and looks at pixels each time. Here every mask gets a summed-area
table inside its own box, and the number of its pixels in a patch's rectangle is four look-ups, for all patches at
once: O(mask pixels + patches near each segment).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from ..geometry import Frame, area_um2
from .groups import UNSEGMENTED, Groups
from .packed import PackedMasks
from .segments import Segments

Rule = Literal["any", "centre", "majority", "released"]
IntArray = npt.NDArray[np.int64]
#: Raster pixels: differences below this are rounding, not overlap.
_TOLERANCE = 1e-6


def assign_groups(
    segments: Segments,
    coords_px0: npt.NDArray[np.integer],
    size_px0: tuple[float, float],
    *,
    rule: Rule = "any",
    mpp: tuple[float, float] | None = None,
) -> Groups:
    """Assign patches to segments.

    Parameters
    ----------
    segments
        L masks on one raster.
    coords_px0
        (N, 2) top left corners x, y of the patches.
    size_px0
        Width and height of a patch in level-0 pixels.
    rule
        A patch covers the raster pixels floor(x0)..ceil(x1) - 1, cut off at the raster's edge. It is in a segment

        - ``any``: when one of these pixels is;
        - ``centre``: when the pixel under the patch's centre is;
        - ``majority``: when more than half of these pixels are;
        - ``released``: by the code released with the paper: the corner is rounded to a pixel, the side is
          ``size // downsample``; the corner lies in the mask's box and a pixel of that square in the mask. The box
          is SAM's, which ends at the mask's last column and row, not behind them.
    mpp
        Micrometres per level-0 pixel (x, y), for areas in µm².

    Returns
    -------
    Groups
        Without the segments that hold no patch; otherwise in their order.
    """
    coords = np.asarray(coords_px0, dtype=np.int64).reshape(-1, 2)
    members = _members_of_all(segments, coords, size_px0, rule)
    kept = np.array([number for number, patches in enumerate(members) if len(patches)], dtype=np.int32)
    lists = [members[number] for number in kept]
    sizes = np.array([len(patches) for patches in lists], dtype=np.int64)
    indices = np.concatenate(lists).astype(np.int32) if lists else np.zeros(0, dtype=np.int32)
    area = segments.area[kept].astype(np.float64)
    return Groups(
        indptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        indices=indices,
        area_raster=area,
        area_um2=area_um2(segments.frame.area_to_px0(area), mpp),
        group_of_patch=smallest_group(area, sizes, indices, len(coords)),
        segment_of_group=kept,
    )


def _members_of_all(
    segments: Segments, coords: IntArray, size_px0: tuple[float, float], rule: Rule
) -> list[npt.NDArray[np.intp]]:
    """Numbers of the patches in every mask, ascending.

    A mask of squares is looked at on the raster of its squares: as on the image in which it was found.
    """
    crops, steps = segments.crops, np.ones(len(segments), dtype=np.int64)
    if isinstance(crops, PackedMasks):
        steps = np.array(crops.steps, dtype=np.int64)
    members: list[npt.NDArray[np.intp]] = [np.zeros(0, dtype=np.intp)] * len(segments)
    for step in np.unique(steps).tolist():
        frame = Frame(
            segments.frame.origin_px0, (segments.frame.downsample[0] * step, segments.frame.downsample[1] * step)
        )
        size = (-(-segments.size_raster[0] // step), -(-segments.size_raster[1] // step))
        patches = _Patches(_rectangles(coords, size_px0, frame, size, rule))
        for number in np.flatnonzero(steps == step).tolist():
            crop = crops.squares(number) if isinstance(crops, PackedMasks) else crops[number]
            x, y = (segments.boxes_raster[number, :2] // step).tolist()
            members[number] = _members(crop, (x, y), patches, rule)
    return members


class _Patches:
    """Rectangles of patches, sorted by their top, so that a mask finds those near it without looking at all.

    Parameters
    ----------
    rectangles
        (4, N) left, top, right, bottom.
    """

    def __init__(self, rectangles: IntArray):
        self.order = np.argsort(rectangles[1], kind="stable")
        self.sorted = np.ascontiguousarray(rectangles[:, self.order])
        left, top, right, bottom = self.sorted
        self._full = (left < right) & (top < bottom)
        self._tallest = int((bottom - top).max(initial=0))

    def near(self, x: int, y: int, width: int, height: int) -> npt.NDArray[np.intp]:
        """Places in the sorted rectangles of those that meet a box and are not empty."""
        first, last = np.searchsorted(self.sorted[1], (y - self._tallest, y + height))
        left, _, right, bottom = self.sorted[:, first:last]
        meets = (left < x + width) & (right > x) & (bottom > y) & self._full[first:last]
        return np.asarray(np.flatnonzero(meets) + first)


def _rectangles(
    coords: IntArray, size_px0: tuple[float, float], frame: Frame, size_raster: tuple[int, int], rule: Rule
) -> IntArray:
    """(4, N) left, top, right, bottom on the raster, half open; empty where a patch misses the raster."""
    if rule == "released":
        start = np.round(frame.from_px0(coords)).astype(np.int64)
        end = start + np.asarray(_released_side(size_px0, frame))
        # A negative corner lies in no mask's box, and must not be cut off to a corner that does.
        end[(start < 0).any(axis=1)] = 0
    elif rule == "centre":
        start = np.floor(_snapped(frame.from_px0(coords + np.asarray(size_px0) / 2))).astype(np.int64)
        end = start + 1
    else:
        start = np.floor(_snapped(frame.from_px0(coords))).astype(np.int64)
        end = np.ceil(_snapped(frame.from_px0(coords + np.asarray(size_px0)))).astype(np.int64)
        end = np.maximum(end, start + 1)
    limits = np.asarray(size_raster)
    both = np.concatenate([np.clip(start, 0, limits), np.clip(end, 0, limits)], axis=1)
    return np.ascontiguousarray(both.T)  # one row per coordinate: every mask compares whole rows


def _snapped(points_raster: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points within rounding error of a pixel edge are put on it."""
    nearest = np.round(points_raster)
    return np.where(np.abs(points_raster - nearest) < _TOLERANCE, nearest, points_raster)


def _released_side(size_px0: tuple[float, float], frame: Frame) -> tuple[int, int]:
    """Side of a patch on the raster in the released code, per axis."""
    return int(size_px0[0] // frame.downsample[0]), int(size_px0[1] // frame.downsample[1])


def _members(
    crop: npt.NDArray[np.bool_], corner: tuple[int, int], patches: _Patches, rule: Rule
) -> npt.NDArray[np.intp]:
    """Numbers of the patches in one mask, ascending."""
    (x, y), (height, width) = corner, crop.shape
    places = patches.near(x, y, width, height)
    if rule == "released":
        left, top = patches.sorted[:2, places]
        places = places[(left >= x) & (top >= y) & (left < x + width - 1) & (top < y + height - 1)]
    if len(places) == 0:
        return places
    table = _summed_area(crop)
    left, top, right, bottom = patches.sorted[:, places] - np.array([[x], [y], [x], [y]])
    size = (right - left) * (bottom - top)
    left, right = left.clip(0, width), right.clip(0, width)
    top, bottom = top.clip(0, height), bottom.clip(0, height)
    inside = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    chosen = places[2 * inside > size if rule == "majority" else inside > 0]
    return np.asarray(np.sort(patches.order[chosen]))


def _summed_area(crop: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """(h + 1, w + 1): entry [i, j] is the number of mask pixels in rows < i and columns < j."""
    import cv2

    table: npt.NDArray[np.int32] = cv2.integral(np.ascontiguousarray(crop).view(np.uint8), sdepth=cv2.CV_32S)
    return table


def smallest_group(
    area: npt.NDArray[np.float64], sizes: npt.NDArray[np.int64], indices: npt.NDArray[np.int32], n_patches: int
) -> npt.NDArray[np.int32]:
    """g(j): the group of smallest area that holds patch j; of equals the first; none is :data:`UNSEGMENTED`."""
    by_area = np.argsort(area, kind="stable")
    rank = np.empty(len(area), dtype=np.int64)
    rank[by_area] = np.arange(len(area))
    best = np.full(n_patches, len(area), dtype=np.int64)
    np.minimum.at(best, indices, np.repeat(rank, sizes))
    return np.append(by_area, UNSEGMENTED).astype(np.int32)[best]
