"""Rasterise many polygons at once into a label image, as spans of pixels, with numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Pixels around a window on which the lines inside it depend.
HALO = 2


def fill(
    edges: npt.NDArray[np.float64],
    owner: npt.NDArray[np.int64],
    spots: npt.NDArray[np.float64],
    size: tuple[int, int],
) -> npt.NDArray[np.int64]:
    """Fill areas by the even-odd rule at pixel centres; later areas cover earlier ones.

    An area that contains no pixel centre gets the pixel of its spot, so that none disappears at any zoom.

    Parameters
    ----------
    edges
        (e, 4) x0, y0, x1, y1 of the edges of all closed rings, in pixels of the image.
    owner
        (e,) number of the area that an edge belongs to, ascending.
    spots
        (n, 2) x, y of a point in every area.
    size
        Width and height of the image.

    Returns
    -------
    (height, width) number of the area at every pixel, -1 where there is none.
    """
    width, height = size
    image = np.full(width * height, -1, dtype=np.int64)
    x, y = np.floor(spots).astype(np.int64).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    image[y[inside] * width + x[inside]] = np.flatnonzero(inside)
    area, row, first, last = _spans(edges, owner, size)
    length = last - first
    pixel = np.arange(length.sum()) + np.repeat(row * width + first - np.cumsum(length) + length, length)
    image[pixel] = np.repeat(area, length)
    return image.reshape(height, width)


def _spans(
    edges: npt.NDArray[np.float64], owner: npt.NDArray[np.int64], size: tuple[int, int]
) -> tuple[npt.NDArray[np.int64], ...]:
    """Return area, row, first column and end column (excluded) of each span of pixels, sorted by area."""
    width, height = size
    swap = edges[:, 1] > edges[:, 3]
    start, end = np.where(swap[:, None], edges[:, [2, 3, 0, 1]], edges).reshape(-1, 2, 2).transpose(1, 0, 2)
    top = np.clip(np.ceil(start[:, 1] - 0.5), 0, height).astype(np.int64)
    count = np.clip(np.ceil(end[:, 1] - 0.5), 0, height).astype(np.int64) - top
    edge = np.repeat(np.arange(len(count)), count)
    row = np.arange(count.sum()) + np.repeat(top - np.cumsum(count) + count, count)
    share = (row + 0.5 - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
    x = start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
    # the edges of an area cross every row an even number of times: into the area and out of it
    order = np.lexsort((x, owner[edge] * height + row))
    into, out = order[0::2], order[1::2]
    first, last = (np.clip(np.ceil(x[which] - 0.5), 0, width).astype(np.int64) for which in (into, out))
    kept = last > first
    return owner[edge[into[kept]]], row[into[kept]], first[kept], last[kept]


def edges_and_insides(labels: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Separate lines from interiors: label n becomes ``2 n - 1`` on its line and ``2 n`` inside.

    The line is two pixels wide and lies inside the area. ``labels`` has a halo of :data:`HALO` pixels, which the
    result does not have.
    """
    inside = np.ones(labels.shape, dtype=bool)
    below, beside = labels[1:] == labels[:-1], labels[:, 1:] == labels[:, :-1]
    inside[1:] &= below
    inside[:-1] &= below
    inside[:, 1:] &= beside
    inside[:, :-1] &= beside
    deep = inside.copy()
    deep[1:] &= inside[:-1]
    deep[:-1] &= inside[1:]
    deep[:, 1:] &= inside[:, :-1]
    deep[:, :-1] &= inside[:, 1:]
    numbers = np.where(labels > 0, 2 * labels - np.where(deep, np.uint32(0), np.uint32(1)), np.uint32(0))
    return np.ascontiguousarray(numbers[HALO:-HALO, HALO:-HALO].astype(np.uint32))
