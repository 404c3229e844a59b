"""Segments as what is measured of them: their partition, and how well the best of them fits a thing.

Regions that nest are a tree over superpixels: all figures of any of its cuts follow from how many pixels of what
lie in each superpixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
from measures import Labels, Mask, best_ious, partition_of

from sam_mil_engine.segment.image import SegmentationImage
from sam_mil_engine.segment.regions import (
    MergeTree,
    adjacency,
    colour_statistics,
    lab_of,
    merge_tree,
    tissue_superpixels,
)
from sam_mil_engine.segment.stain_statistics import stain_statistics

Statistics = npt.NDArray[np.float64]


class Found(Protocol):
    """Segments of an image."""

    @property
    def masks(self) -> int:
        """How many."""
        ...

    @property
    def partition(self) -> Labels:
        """(h, w) number of the smallest that holds a pixel; 0 where none does."""
        ...

    def best(self, things: Sequence[Mask]) -> list[float]:
        """For every thing the IoU of the best one."""
        ...


@dataclass(frozen=True)
class MaskList:
    """Masks (h, w) that may overlap."""

    all: list[Mask]
    size: tuple[int, ...]

    @property
    def masks(self) -> int:
        return len(self.all)

    @cached_property
    def partition(self) -> Labels:
        return partition_of(self.all, self.size)

    def best(self, things: Sequence[Mask]) -> list[float]:
        return best_ious(self.all, things)


@dataclass(frozen=True)
class Nested:
    """Cuts of parts (h, w) numbered 0..n-1, -1 outside: for each cut the group of every part, the finest last."""

    parts: Labels
    cuts: list[Labels]

    @property
    def masks(self) -> int:
        return len(set().union(*(np.unique(cut).tolist() for cut in self.cuts)))

    @cached_property
    def partition(self) -> Labels:
        numbers = np.append(np.unique(self.cuts[-1], return_inverse=True)[1] + 1, 0)
        found: Labels = numbers[self.parts]
        return found

    def best(self, things: Sequence[Mask]) -> list[float]:
        number = int(self.parts.max()) + 1
        size = np.bincount(self.parts.ravel() + 1, minlength=number + 1)[1:]
        found = []
        for thing in things:
            common = np.bincount(self.parts[thing] + 1, minlength=number + 1)[1:]
            best = 0.0
            for cut in self.cuts:
                node = np.unique(cut, return_inverse=True)[1]
                joint, sizes = np.bincount(node, weights=common), np.bincount(node, weights=size)
                best = max(best, float((joint / (sizes + np.count_nonzero(thing) - joint)).max()))
            found.append(best)
        return found


class Divided:
    """An image and its superpixels, which all that merges them shares."""

    def __init__(self, image: SegmentationImage):
        self.image = image
        self._parts: dict[int, tuple[Labels, npt.NDArray[np.int64]]] = {}
        self._stains: dict[int, Statistics] = {}

    def parts(self, superpixels: int) -> tuple[Labels, npt.NDArray[np.int64]]:
        """(h, w) numbers of superpixels, and the (E, 2) pairs of neighbours."""
        if superpixels not in self._parts:
            labels = tissue_superpixels(lab_of(self.image.rgb), self.image.tissue, superpixels)
            self._parts[superpixels] = labels, adjacency(labels)
        return self._parts[superpixels]

    def colours(self, superpixels: int) -> Statistics:
        """What ``regions`` are merged by."""
        return colour_statistics(lab_of(self.image.rgb), self.parts(superpixels)[0])

    def stains(self, superpixels: int) -> Statistics:
        """What ``stain-regions`` are merged by."""
        if superpixels not in self._stains:
            labels, pairs = self.parts(superpixels)
            side = float(np.sqrt(labels.size / superpixels))
            rgb, tissue = self.image.rgb, self.image.tissue
            self._stains[superpixels] = stain_statistics(rgb, tissue, labels, pairs, side=side)
        return self._stains[superpixels]

    def nested(self, superpixels: int, cuts: Sequence[int], by: Callable[[int], Statistics]) -> Nested:
        """Merge superpixels by statistics, and cut the tree."""
        labels, pairs = self.parts(superpixels)
        tree: MergeTree = merge_tree(by(superpixels), pairs)
        return Nested(labels, [tree.cut(count) for count in sorted(cuts)])
