"""Masks of neighbouring tiles that are one: they agree where both tiles see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ..packed import Mask, PackedMasks, pack
from ..segments import Segments
from .layout import Tile, TileLayout
from .pieces import Pieces

#: Two masks are one from this IoU on, within what both tiles see.
JOIN_IOU = 0.5
#: Fewer common pixels say nothing.
_LEAST_COMMON = 8
#: Sides of a tile that a joined mask may be wide and high: it has to be unpacked as a whole.
LARGEST_TILES = 4


@dataclass(frozen=True, slots=True, order=True)
class _Pair:
    """Two masks by their numbers among all, ordered by how well they agree: the best pair first."""

    disagreement: float
    area_ratio: float
    one: int
    two: int


def join_pieces(found: Sequence[Pieces], layout: TileLayout) -> Segments:
    """Join the masks of all tiles.

    The result does not depend on the order of ``found``. In a pair of neighbours each mask has at most one partner:
    the one with the highest IoU in the shared strip and, of equal ones (nested masks look alike there), the one of
    the most similar area. Two masks of one tile are never joined, and nothing grows beyond :data:`LARGEST_TILES`.
    """
    found = sorted(found, key=lambda pieces: pieces.tile)
    starts = np.concatenate([[0], np.cumsum([len(pieces) for pieces in found])]).astype(int)
    first = {pieces.tile: int(start) for pieces, start in zip(found, starts, strict=False)}
    by_tile = {pieces.tile: pieces for pieces in found}
    pairs: list[_Pair] = []
    for tile, pieces in by_tile.items():
        for rows, columns in ((0, 1), (1, 0)):
            other = by_tile.get(Tile(tile.row + rows, tile.column + columns))
            if other is not None:
                pairs += _pairs(pieces, other, layout, offsets=(first[tile], first[other.tile]))
    boxes = _ends(np.concatenate([np.zeros((0, 4), np.int32), *(pieces.boxes_raster for pieces in found)]))
    tile_of = np.repeat(np.arange(len(found)), np.diff(starts))
    clusters = _Clusters(boxes, tile_of, largest=LARGEST_TILES * layout.side)
    for pair in sorted(pairs):
        clusters.join(pair.one, pair.two)
    return _segments(found, starts, clusters, layout)


def _pairs(one: Pieces, two: Pieces, layout: TileLayout, *, offsets: tuple[int, int]) -> list[_Pair]:
    """Return the partners among the masks of two neighbours, each mask in one pair at most."""
    left, top = layout.corner(two.tile)
    right, bottom = (end + layout.side for end in layout.corner(one.tile))
    if one.tile.row == two.tile.row:
        bottom = top + layout.side
    else:
        right = left + layout.side
    strip = (left, top, right, bottom)
    (numbers_1, pixels_1), (numbers_2, pixels_2) = _in_strip(one, strip), _in_strip(two, strip)
    common = (pixels_1 @ pixels_2.T).tocoo()
    size_1, size_2 = np.diff(pixels_1.indptr), np.diff(pixels_2.indptr)
    rows, columns = common.coords
    iou = common.data / (size_1[rows] + size_2[columns] - common.data)
    areas = np.log(one.area[numbers_1][rows]) - np.log(two.area[numbers_2][columns])
    good = (iou >= JOIN_IOU) & (common.data >= _LEAST_COMMON)
    candidates = sorted(
        _Pair(
            disagreement=round(1 - float(iou[k]), 6),
            area_ratio=round(abs(float(areas[k])), 6),
            one=offsets[0] + int(numbers_1[rows[k]]),
            two=offsets[1] + int(numbers_2[columns[k]]),
        )
        for k in np.flatnonzero(good)
    )
    taken: set[int] = set()
    chosen = []
    for pair in candidates:
        if pair.one not in taken and pair.two not in taken:
            taken |= {pair.one, pair.two}
            chosen.append(pair)
    return chosen


def _in_strip(pieces: Pieces, strip: tuple[int, int, int, int]) -> tuple[npt.NDArray[np.int64], csr_array]:
    """Return the masks that reach into a strip, and their pixels there as the rows of a sparse array of ones."""
    left, top, right, bottom = strip
    width = right - left
    numbers, indices, indptr = [], [], [0]
    for number, (x, y, x_end, y_end) in enumerate(_ends(pieces.boxes_raster).tolist()):
        if x >= right or x_end <= left or y >= bottom or y_end <= top:
            continue
        part = pieces.masks[number][max(top - y, 0) : bottom - y, max(left - x, 0) : right - x]
        rows, columns = np.nonzero(part)
        if len(rows):
            numbers.append(number)
            indices.append((rows + max(y - top, 0)) * width + columns + max(x - left, 0))
            indptr.append(indptr[-1] + len(rows))
    flat = np.concatenate(indices) if indices else np.zeros(0, np.int64)
    ones = np.ones(len(flat), dtype=np.int32)
    pixels = csr_array((ones, flat, indptr), shape=(len(numbers), width * (bottom - top)))
    return np.array(numbers, dtype=np.int64), pixels


def _ends(boxes: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """x, y, width, height -> x, y, and where they end."""
    wide = boxes.astype(np.int64)
    return np.concatenate([wide[:, :2], wide[:, :2] + wide[:, 2:]], axis=1)


class _Clusters:
    """Sets of masks that are one, none with two masks of one tile, none larger than allowed."""

    def __init__(self, boxes: npt.NDArray[np.int64], tile_of: npt.NDArray[np.int64], *, largest: int):
        self.boxes = boxes.copy()
        self.members = [[number] for number in range(len(boxes))]
        self._tiles = [{int(tile)} for tile in tile_of]
        self._owner = list(range(len(boxes)))
        self._largest = largest

    def join(self, one: int, two: int) -> None:
        """Make two masks and all that belongs to them one, where that is allowed."""
        a, b = sorted((self._owner[one], self._owner[two]))
        both = np.concatenate(
            [np.minimum(self.boxes[a, :2], self.boxes[b, :2]), np.maximum(self.boxes[a, 2:], self.boxes[b, 2:])]
        )
        if a == b or self._tiles[a] & self._tiles[b] or (both[2:] - both[:2]).max() > self._largest:
            return
        for number in self.members[b]:
            self._owner[number] = a
        self.members[a] += self.members[b]
        self.members[b] = []
        self._tiles[a] |= self._tiles[b]
        self.boxes[a] = both


def _segments(
    found: Sequence[Pieces], starts: npt.NDArray[np.int64], clusters: _Clusters, layout: TileLayout
) -> Segments:
    """Paint what belongs together; masks stand where their first part stood."""
    shapes, packed, boxes, areas = [], [], [], []
    scores: list[tuple[float, float]] = []

    def part(number: int) -> tuple[Pieces, int]:
        tile = int(np.searchsorted(starts, number, side="right")) - 1
        return found[tile], number - int(starts[tile])

    for number, members in enumerate(clusters.members):
        if not members:
            continue
        x, y, x_end, y_end = clusters.boxes[number].tolist()
        parts = [part(member) for member in sorted(members)]
        if len(parts) == 1:
            (pieces, own), area = parts[0], int(parts[0][0].area[parts[0][1]])
            packed.append(pieces.masks.packed(own))
        else:
            mask = _union(parts, (x, y, x_end, y_end), lambda pieces, own: pieces.masks[own])
            area = int(np.count_nonzero(mask))
            packed.append(pack(mask))
        weights = np.array([pieces.area[own] for pieces, own in parts], dtype=np.float64)
        scores.append(
            (
                float(np.average([pieces.predicted_iou[own] for pieces, own in parts], weights=weights)),
                float(np.average([pieces.stability[own] for pieces, own in parts], weights=weights)),
            )
        )
        shapes.append((y_end - y, x_end - x))
        boxes.append((x, y, x_end - x, y_end - y))
        areas.append(area)
    predicted_iou, stability = np.array(scores, dtype=np.float32).reshape(-1, 2).T
    return Segments(
        frame=layout.frame,
        size_raster=layout.size_raster,
        boxes_raster=np.array(boxes, dtype=np.int32).reshape(-1, 4),
        crops=PackedMasks(shapes, packed),
        area=np.array(areas, dtype=np.int64),
        predicted_iou=np.ascontiguousarray(predicted_iou),
        stability=np.ascontiguousarray(stability),
    )


def _union(
    parts: Sequence[tuple[Pieces, int]],
    box: tuple[int, int, int, int],
    mask_of: Callable[[Pieces, int], Mask],
) -> Mask:
    left, top, right, bottom = box
    whole = np.zeros((bottom - top, right - left), dtype=bool)
    for pieces, own in parts:
        x, y, width, height = pieces.boxes_raster[own].tolist()
        whole[y - top : y - top + height, x - left : x - left + width] |= mask_of(pieces, own)
    return whole
