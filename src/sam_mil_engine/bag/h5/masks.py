"""The masks of a bag: bit-packed, and as many as a slide has."""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np
import numpy.typing as npt

from ...segment.packed import PackedMasks, pack_bits
from ...segment.segments import Segments

#: Pixels in all boxes of masks from which on masks stay packed in memory, and compressed in the file.
MANY_PIXELS = 2**27
_CHUNK = 2**20


def put_masks(group: h5py.Group, segments: Segments) -> h5py.Dataset:
    """Store each crop bit-packed on its own, one behind the other, and return the dataset."""
    steps = _steps(segments.crops)
    counts = _counts(segments.boxes_raster, steps)
    if (steps > 1).any():
        group["step"] = steps
    total = int(counts.sum())
    many = total * 8 > MANY_PIXELS
    options = {"chunks": (min(_CHUNK, total),), "compression": "gzip", "compression_opts": 1} if many else {}
    data = group.create_dataset("packed", shape=(total,), dtype=np.uint8, **options)
    crops, start, waiting, size = segments.crops, 0, [], 0
    for number in range(len(segments)):
        waiting.append(crops.bits(number) if isinstance(crops, PackedMasks) else np.packbits(crops[number].ravel()))
        size += int(counts[number])
        if size >= _CHUNK or number == len(segments) - 1:
            data[start : start + size] = np.concatenate(waiting)
            start, waiting, size = start + size, [], 0
    return data


def read_masks(group: h5py.Group, boxes_raster: npt.NDArray[np.int32]) -> Sequence[npt.NDArray[np.bool_]]:
    """Return the crops; packed where they are many."""
    data, shapes = group["packed"], [(int(height), int(width)) for _, _, width, height in boxes_raster]
    steps = group["step"][:] if "step" in group else np.ones(len(shapes), dtype=np.int32)
    counts = _counts(boxes_raster, steps)
    many = int(counts.sum()) * 8 > MANY_PIXELS or bool((steps > 1).any())
    packed: list[bytes] = []
    crops: list[npt.NDArray[np.bool_]] = []
    for first, last in _runs(counts):
        start = int(counts[:first].sum())
        block = data[start : start + int(counts[first:last].sum())]
        ends = np.cumsum(counts[first:last]).tolist()
        for number, low, high in zip(range(first, last), [0, *ends], ends, strict=False):
            if many:
                packed.append(pack_bits(block[low:high]))
            else:
                height, width = shapes[number]
                bits = np.unpackbits(block[low:high], count=height * width)
                crops.append(bits.view(np.bool_).reshape(height, width))
    return PackedMasks(shapes, packed, steps.tolist()) if many else tuple(crops)


def _steps(crops: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.int32]:
    return np.array(crops.steps if isinstance(crops, PackedMasks) else [1] * len(crops), dtype=np.int32)


def _counts(boxes_raster: npt.NDArray[np.int32], steps: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Return the bytes of every packed crop."""
    sides = -(-boxes_raster[:, 2:].astype(np.int64) // steps[:, None])
    return np.asarray(-(-sides.prod(axis=1) // 8))


def _runs(counts: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut the masks into runs that are read at once, of about 16 chunks."""
    if not len(counts):
        return []
    run = np.cumsum(counts) // (16 * _CHUNK)
    starts = [0, *(np.flatnonzero(np.diff(run)) + 1).tolist()]
    return list(zip(starts, [*starts[1:], len(counts)], strict=True))
