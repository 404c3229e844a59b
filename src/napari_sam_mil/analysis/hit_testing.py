"""Find the segments at a point of the image. No Qt, no napari."""

from __future__ import annotations

import numpy as np

from sam_mil_engine.segment.segments import Segments


def segments_at(segments: Segments, x: float, y: float) -> list[int]:
    """Return the numbers (from 0) of the segments that a level-0 point lies in, the smallest first."""
    column, row = np.floor(segments.frame.from_px0([(x, y)])[0]).astype(int).tolist()
    left, top, width, height = segments.boxes_raster.T
    near = (left <= column) & (column < left + width) & (top <= row) & (row < top + height)
    found = [
        number
        for number in np.flatnonzero(near).tolist()
        if segments.crops[number][row - top[number], column - left[number]]
    ]
    return sorted(found, key=lambda number: (int(segments.area[number]), number))


def next_segment(found: list[int], chosen: int | None) -> int | None:
    """Return which segment at a point to select: the smallest, or the next larger one than ``chosen``."""
    if not found:
        return None
    return found[(found.index(chosen) + 1) % len(found)] if chosen in found else found[0]
