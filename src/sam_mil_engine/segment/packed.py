"""Masks that stay packed in memory until they are looked at: thousands of them, on a raster of any size."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint8]


class PackedMasks(Sequence[Mask]):
    """Boolean masks (height, width), each unpacked when it is asked for and not kept.

    Parameters
    ----------
    shapes
        Height and width of every mask.
    packed
        Of every mask, its bits row by row (``numpy.packbits``), compressed by zlib.
    steps
        How many pixels wide and high the squares are of which a mask consists; its bits are those of the squares.
        1 for all where None.
    """

    def __init__(
        self, shapes: Sequence[tuple[int, int]], packed: Sequence[bytes], steps: Sequence[int] | None = None
    ):
        self.steps = [1] * len(packed) if steps is None else [int(step) for step in steps]
        if not len(shapes) == len(packed) == len(self.steps):
            raise ValueError(f"{len(shapes)} shapes and {len(self.steps)} steps, but {len(packed)} masks")
        self.shapes = [(int(height), int(width)) for height, width in shapes]
        self._packed = list(packed)

    @classmethod
    def of(cls, masks: Iterable[Mask]) -> PackedMasks:
        """Pack masks, one at a time."""
        shapes, packed = [], []
        for mask in masks:
            shapes.append((mask.shape[0], mask.shape[1]))
            packed.append(pack(mask))
        return cls(shapes, packed)

    def __len__(self) -> int:
        return len(self._packed)

    def __add__(self, others: PackedMasks) -> PackedMasks:
        return PackedMasks(
            [*self.shapes, *others.shapes], [*self._packed, *others._packed], [*self.steps, *others.steps]
        )

    def take(self, numbers: Iterable[int]) -> PackedMasks:
        """Return some of the masks."""
        chosen = list(numbers)
        return PackedMasks(
            [self.shapes[number] for number in chosen],
            [self._packed[number] for number in chosen],
            [self.steps[number] for number in chosen],
        )

    @overload
    def __getitem__(self, number: int) -> Mask: ...
    @overload
    def __getitem__(self, number: slice) -> PackedMasks: ...
    def __getitem__(self, number: int | slice) -> Mask | PackedMasks:
        if isinstance(number, slice):
            return PackedMasks(self.shapes[number], self._packed[number], self.steps[number])
        step, mask = self.steps[number], self.squares(number)
        if step == 1:
            return mask
        height, width = self.shapes[number]
        return np.repeat(np.repeat(mask, step, axis=0), step, axis=1)[:height, :width]

    def __iter__(self) -> Iterator[Mask]:
        return (self[number] for number in range(len(self)))

    @property
    def nbytes(self) -> int:
        """Bytes that the packed masks take."""
        return sum(len(data) for data in self._packed)

    def squares(self, number: int) -> Mask:
        """Return one mask with one pixel for each of its squares."""
        height, width = (-(-side // self.steps[number]) for side in self.shapes[number])
        return np.unpackbits(self.bits(number), count=height * width).view(np.bool_).reshape(height, width)

    def packed(self, number: int) -> bytes:
        """Return one mask as it is packed."""
        return self._packed[number]

    def bits(self, number: int) -> Bits:
        """Return the bits of one mask, eight a byte: what ``numpy.packbits`` gives of its squares."""
        return np.frombuffer(zlib.decompress(self._packed[number]), dtype=np.uint8)


def pack(mask: Mask) -> bytes:
    """Pack one mask."""
    return pack_bits(np.packbits(mask.ravel()))


def pack_bits(bits: Bits) -> bytes:
    """Pack what ``numpy.packbits`` gave."""
    return zlib.compress(bits.tobytes(), 1)
