"""The segments of the one image of a slide beside its fine ones, on one raster."""

from __future__ import annotations

import numpy as np

from ..packed import PackedMasks, pack
from ..segments import Segments


def with_coarse(fine: Segments, coarse: Segments) -> Segments:
    """Return the segments of both scales on the raster of the fine ones, the coarse ones first.

    A coarse mask consists of squares of fine pixels, about as large as the pixels of its own image: it is never
    unpacked at the fine resolution unless somebody asks for it.
    """
    ratio = np.divide(coarse.frame.downsample, fine.frame.downsample)
    step = max(1, round(float(ratio.mean())))
    width, height = fine.size_raster
    columns = _places(coarse, fine, -(-width // step), step, axis=0)
    rows = _places(coarse, fine, -(-height // step), step, axis=1)
    shapes, packed, boxes, chosen = [], [], [], []
    for number, (crop, box) in enumerate(zip(coarse.crops, coarse.boxes_raster.tolist(), strict=True)):
        x, y, w, h = box
        across = np.flatnonzero((columns >= x) & (columns < x + w))
        down = np.flatnonzero((rows >= y) & (rows < y + h))
        mask = crop[np.ix_(rows[down] - y, columns[across] - x)]
        if not mask.any():
            continue
        left, top, wide, high = Segments.tight_box(mask)
        left, top, mask = left + int(across[0]), top + int(down[0]), mask[top : top + high, left : left + wide]
        end = (min((left + wide) * step, width), min((top + high) * step, height))
        boxes.append((left * step, top * step, end[0] - left * step, end[1] - top * step))
        shapes.append((boxes[-1][3], boxes[-1][2]))
        packed.append(pack(mask))
        chosen.append(number)
    masks = PackedMasks(shapes, packed, [step] * len(packed))
    own = fine.crops if isinstance(fine.crops, PackedMasks) else PackedMasks.of(fine.crops)
    area = np.array([_area(masks, number) for number in range(len(masks))], dtype=np.int64)
    return Segments(
        frame=fine.frame,
        size_raster=fine.size_raster,
        boxes_raster=np.concatenate([np.array(boxes, dtype=np.int32).reshape(-1, 4), fine.boxes_raster]),
        crops=masks + own,
        area=np.concatenate([area, fine.area]),
        predicted_iou=np.concatenate([coarse.predicted_iou[chosen], fine.predicted_iou]),
        stability=np.concatenate([coarse.stability[chosen], fine.stability]),
    )


def _places(coarse: Segments, fine: Segments, count: int, step: int, *, axis: int) -> np.ndarray:
    """Return the coarse column or row under the centre of each of ``count`` squares."""
    centres = np.zeros((count, 2))
    centres[:, axis] = (np.arange(count) + 0.5) * step
    places = np.floor(coarse.frame.from_px0(fine.frame.to_px0(centres))[:, axis]).astype(np.int64)
    return np.asarray(places)


def _area(masks: PackedMasks, number: int) -> int:
    """Pixels of a mask; squares at the end of the raster may be cut off."""
    squares, step, (height, width) = masks.squares(number), masks.steps[number], masks.shapes[number]
    high = np.minimum(step, height - np.arange(squares.shape[0]) * step)
    wide = np.minimum(step, width - np.arange(squares.shape[1]) * step)
    return int(high @ squares.astype(np.int64) @ wide)
