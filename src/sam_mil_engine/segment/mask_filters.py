"""Size, stability and box of masks at full resolution, exactly, without making them at full resolution.

SAM enlarges its logits twice by bilinear interpolation: to its square input, and from there, without the padding,
to the image. Both are linear along each axis, so a pixel is a weighted mean of a few logits: if all of these
exceed a threshold, so does the pixel. Only pixels whose logits lie on both sides, along outlines, need computing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as nnf

from ..devices import on_processor, widest_float

#: Cells whose pixels are computed at a time: their temporary arrays stay below a few MiB, on a GPU below 100.
_CELLS, _CELLS_GPU = 2**14, 2**18


@dataclass(frozen=True, slots=True)
class Axis:
    """How n logits along one axis become the image's pixels; K logits make a pixel.

    Attributes
    ----------
    weights
        (pixels, n): the whole interpolation.
    needed
        Number of logits that reach into the image.
    start_of_pixel
        (pixels,) first of the K logits that make a pixel.
    per_start
        (needed - K + 1,) float32: number of pixels that are made of the K logits that begin here.
    start, first_pixel
        (G,) of groups of at most R neighbouring pixels that are made of the same logits.
    groups, first_group
        (needed - K + 1,) number of groups that begin here, and the first of them.
    tile
        (R, K, G) their weights; NaN where a group has fewer pixels.
    """

    weights: Tensor
    needed: int
    start_of_pixel: Tensor
    per_start: Tensor
    start: Tensor
    first_pixel: Tensor
    groups: Tensor
    first_group: Tensor
    tile: Tensor

    @property
    def reach(self) -> int:
        """K."""
        return self.tile.shape[1]

    @classmethod
    def of(cls, n_logits: int, side: int, used: int, length: int) -> Axis:
        """From ``n_logits`` to SAM's input of ``side`` pixels, of which ``used`` become ``length`` pixels."""
        enlarged = nnf.interpolate(torch.eye(n_logits)[None], side, mode="linear", align_corners=False)
        weights = nnf.interpolate(enlarged[..., :used], length, mode="linear", align_corners=False)[
            0
        ].T.contiguous()
        touched = weights != 0
        first = touched.int().argmax(dim=1)
        last = n_logits - 1 - touched.flip(1).int().argmax(dim=1)
        reach = int((last - first).max()) + 1
        needed = int(last.max()) + 1
        first = first.clamp(max=needed - reach)
        per_start = torch.bincount(first, minlength=needed - reach + 1).float()
        # A group as large as the pixels next to an edge, which are more, would make all of them slower.
        most = max(1, round(length / len(torch.unique(first))))
        _, run, lengths = torch.unique_consecutive(first, return_inverse=True, return_counts=True)
        inside = torch.arange(length) - (lengths.cumsum(0) - lengths)[run]
        first_pixel = (inside % most == 0).nonzero()[:, 0]
        start = first[first_pixel]
        tile = torch.full((most, reach, len(start)), float("nan"))
        ends = [*first_pixel[1:].tolist(), length]
        for group, (begin, end) in enumerate(zip(first_pixel.tolist(), ends, strict=True)):
            tile[: end - begin, :, group] = weights[begin:end, start[group] : start[group] + reach]
        groups = torch.bincount(start, minlength=len(per_start))
        first_group = groups.cumsum(0) - groups
        return cls(
            weights=weights,
            needed=needed,
            start_of_pixel=first,
            per_start=per_start,
            start=start,
            first_pixel=first_pixel,
            groups=groups,
            first_group=first_group,
            tile=tile,
        )

    def to(self, device: torch.device) -> Axis:
        """Return the same on another device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    def cells(self, places: Tensor, column: int) -> Tensor:
        """Repeat rows (P, 3) whose ``column`` says where K logits begin for each group, and put the group there."""
        begin = places[:, column]
        count = self.groups[begin]
        cells = places.repeat_interleave(count, dim=0)
        first = self.first_group[begin] - (count.cumsum(0) - count)
        cells[:, column] = first.repeat_interleave(count) + torch.arange(len(cells), device=cells.device)
        return cells


@dataclass(frozen=True, slots=True)
class Measured:
    """Of M masks: stability (M,) float32 and box (M, 4) int64, the first and last x and y (0, 0, 0, 0 if empty)."""

    stability: Tensor
    boxes: Tensor


class FullResolution:
    """From SAM's logits to the pixels of an image.

    Parameters
    ----------
    n_logits
        Rows of SAM's logits, of which it has as many columns.
    side
        Side of SAM's square input in pixels.
    used, size
        Rows and columns of the input that the image covers, and of the image itself.
    device
        Where the logits are.
    """

    def __init__(
        self, n_logits: int, side: int, used: tuple[int, int], size: tuple[int, int], device: torch.device
    ):
        axes = [_axis(n_logits, side, used[dim], size[dim]) for dim in (0, 1)]
        # On the host: reading them one by one from a GPU would wait for it each time.
        self._starts: list[list[int]] = [axis.start_of_pixel.tolist() for axis in axes]
        self._rows, self._columns = (axis.to(device) for axis in axes)

    @property
    def needed(self) -> tuple[int, int]:
        """Rows and columns of logits that reach into the image."""
        return self._rows.needed, self._columns.needed

    def measure(self, logits: Tensor, *, threshold: float, offset: float = 1.0) -> Measured:
        """Stability and boxes of M masks, from their needed logits (M, rows, columns) float32.

        The stability (Kirillov et al. 2023) is the ratio of the areas above threshold + offset and above
        threshold - offset; NaN where the latter is empty.
        """
        levels = (threshold - offset, threshold, threshold + offset)
        # For each level, where all of the K x K logits are above it, and where some are and some are not.
        above, crossed = zip(*(self._above(logits > level) for level in levels), strict=True)
        rows = [each.float() @ self._columns.per_start for each in above]
        # The pixels of a row of cells are few enough for float32, those of an image are not.
        wide = widest_float(logits.device)
        areas = [row.to(wide) @ self._rows.per_start.to(wide) for row in rows]
        columns = self._rows.per_start @ above[1].float()
        # Where an image is smaller than its logits, some begin no pixel.
        hit_rows = ((rows[1] > 0) & (self._rows.per_start > 0))[:, self._rows.start_of_pixel]
        hit_columns = ((columns > 0) & (self._columns.per_start > 0))[:, self._columns.start_of_pixel]
        places = (crossed[0] | crossed[1] | crossed[2]).nonzero()
        cells = self._columns.cells(self._rows.cells(places, 1), 2)
        step = _CELLS if on_processor(logits.device) else _CELLS_GPU
        for begin in range(0, len(cells), step):
            mask, row, column = cells[begin : begin + step].T.contiguous()
            pixels = self._pixels(logits, mask, row, column)
            place = (mask, self._rows.start[row], self._columns.start[column])
            for area, level, counted in zip(areas, levels, above, strict=True):
                more = (pixels > level).flatten(0, 1).sum(dim=0, dtype=torch.float32)
                area.index_add_(0, mask, (more * (counted[place] == 0)).to(wide))
            positive = pixels > threshold
            _mark(hit_rows, positive.any(dim=1), mask, self._rows.first_pixel[row])
            _mark(hit_columns, positive.any(dim=0), mask, self._columns.first_pixel[column])
        return Measured(areas[2].float() / areas[0].float(), _boxes(hit_rows, hit_columns))

    def crop(self, logits: Tensor, box: tuple[int, int, int, int]) -> tuple[Tensor, int, int]:
        """Of one mask's logits those that its box (first and last x and y) needs, with their row and column."""
        left, top, right, bottom = box
        of_row, of_column = self._starts
        rows = slice(of_row[top], of_row[bottom] + self._rows.reach)
        columns = slice(of_column[left], of_column[right] + self._columns.reach)
        return logits[rows, columns].clone(), rows.start, columns.start

    def enlarge(self, crop: Tensor, row: int, column: int, box: tuple[int, int, int, int]) -> Tensor:
        """Logits of the pixels in a box (h, w), from what :meth:`crop` kept."""
        left, top, right, bottom = box
        height, width = crop.shape
        rows = self._rows.weights[top : bottom + 1, row : row + height]
        columns = self._columns.weights[left : right + 1, column : column + width]
        return rows @ crop @ columns.T

    def _above(self, above: Tensor) -> tuple[Tensor, Tensor]:
        """Of K x K values (M, rows, columns) bool, for each place where K x K begin: all are true, only some are.

        Both are bytes, 0 or 1: (M, rows - K + 1, columns - K + 1).
        """
        every = some = above.view(torch.uint8)
        for dim, axis in ((1, self._rows), (2, self._columns)):
            n_starts = above.shape[dim] - axis.reach + 1
            of_every, of_some = every, some
            every, some = of_every.narrow(dim, 0, n_starts), of_some.narrow(dim, 0, n_starts)
            for step in range(1, axis.reach):
                every = every & of_every.narrow(dim, step, n_starts)
                some = some | of_some.narrow(dim, step, n_starts)
        return every, some ^ every

    def _pixels(self, logits: Tensor, mask: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Pixels (R, R, Q) of Q cells; those beyond a cell are NaN, which exceeds nothing."""
        _, height, width = logits.shape
        corner = (mask * height + self._rows.start[row]) * width + self._columns.start[column]
        row_weights, column_weights = self._rows.tile[:, :, row], self._columns.tile[:, :, column]
        flat = logits.flatten()
        pixels = flat.new_zeros(len(row_weights), len(column_weights), len(mask))
        for across in range(self._columns.reach):
            # Interpolated along the rows, (R, Q), then along the columns.
            line = row_weights[:, 0] * flat[corner + across]
            for down in range(1, self._rows.reach):
                line.addcmul_(row_weights[:, down], flat[corner + (down * width + across)])
            pixels.addcmul_(line[:, None], column_weights[:, across])
        return pixels


@lru_cache(maxsize=32)
def _axis(n_logits: int, side: int, used: int, length: int) -> Axis:
    return Axis.of(n_logits, side, used, length)


def _mark(hit: Tensor, found: Tensor, mask: Tensor, first_pixel: Tensor) -> None:
    """Set ``hit`` (M, pixels) where ``found`` (R, Q) is true, for cells that begin at ``first_pixel`` (Q,)."""
    step, cell = found.nonzero(as_tuple=True)
    hit[mask[cell], first_pixel[cell] + step] = True


def _boxes(hit_rows: Tensor, hit_columns: Tensor) -> Tensor:
    ends = []
    for hit in (hit_columns, hit_rows):
        first = hit.int().argmax(dim=1)
        last = hit.shape[1] - 1 - hit.flip(1).int().argmax(dim=1)
        ends.append((first, last))
    (left, right), (top, bottom) = ends
    return torch.stack([left, top, right, bottom], dim=1) * hit_rows.any(dim=1)[:, None]
