"""The rings around the set pixels of a mask, along the edges of pixels, from its corners alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ring = npt.NDArray[np.float64]


def mask_rings(mask: npt.NDArray[np.bool_]) -> tuple[list[Ring], list[Ring]]:
    """Return the outer rings and the holes of a mask (height, width), each (n, 2) as x, y, not closed.

    Pixels that touch at a corner only are not connected. The corners of a row are taken in pairs, from left to
    right, for the horizontal edges, and those of a column for the vertical ones; where two pixels touch, their
    common corner counts twice.
    """
    rows, columns, twice, falling = _corners(mask)  # in rows, from left to right
    y, x = np.repeat(rows, 1 + twice), np.repeat(columns, 1 + twice)
    # Twins lie beside each other: the left one ends the edge to the left.
    right_twin = np.zeros(len(x), dtype=bool)
    right_twin[np.cumsum(1 + twice)[twice] - 1] = True
    # Of pixels that touch as in \, the left twin belongs to the upper pixel, and of those as in / the right one.
    first = np.where(np.repeat(falling, 1 + twice), right_twin, ~right_twin)
    by_column = np.lexsort((first, y, x))
    below = np.empty(len(x), dtype=np.int64)
    below[by_column[::2]], below[by_column[1::2]] = by_column[1::2], by_column[::2]
    partner, points = below.tolist(), np.stack([x, y], axis=1).astype(np.float64)
    outer: list[Ring] = []
    holes: list[Ring] = []
    seen = np.zeros(len(x), dtype=bool)
    for start in range(len(x)):
        if seen[start]:
            continue
        ring, at = [], start
        while True:
            beside = at ^ 1
            ring += [at, beside]
            at = partner[beside]
            if at == start:
                break
        seen[ring] = True
        # The first corner is the leftmost of the upper ones: of a hole, there is nothing below the edge.
        (outer if mask[y[start], x[start]] else holes).append(points[ring])
    return outer, holes


def _corners(
    mask: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Row and column of every corner, whether two pixels touch there, and whether these lie as in a backslash."""
    padded = np.pad(mask, 1)
    above_left, above_right = padded[:-1, :-1], padded[:-1, 1:]
    below_left, below_right = padded[1:, :-1], padded[1:, 1:]
    touching = (above_left == below_right) & (above_right == below_left) & (above_left != above_right)
    rows, columns = np.nonzero((above_left ^ above_right ^ below_left ^ below_right) | touching)
    return rows, columns, touching[rows, columns], above_left[rows, columns]
