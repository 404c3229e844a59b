"""A cache of the bags of a cohort: cached in half precision up to a budget, read again beyond it.

A number never depends on the budget: a bag that is read again is rounded like one that is cached.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, overload

import torch
from torch import Tensor

from ..bag.feature_bag import FeatureBag
from ..bag.h5 import read_bag
from ..bag.joining import join_bags
from ..errors import BagError
from ..mil.aggregator import BagTensors

#: Bags that are read ahead of the one in use.
READ_AHEAD = 2

_TYPES = {"float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True, slots=True)
class Example:
    """A bag (float32) and its target, on the device."""

    slide_id: str
    bag: BagTensors
    label: Tensor


class BagStore:
    """Hands out the bags of slides, float32 on the device.

    Parameters
    ----------
    files, targets
        slide_id -> bag files (several are joined to one bag), and position of its class.
    device
        Device on which bags are used and cached.
    dtype
        Precision of cached features.
    budget
        Largest number of bytes of bags to cache.
    """

    def __init__(
        self,
        files: Mapping[str, Sequence[Path]],
        targets: Mapping[str, int],
        *,
        device: torch.device | str = "cpu",
        dtype: Literal["float16", "float32"] = "float16",
        budget: float = float("inf"),
    ):
        self._files = files
        self._labels = {name: torch.tensor(target, device=device) for name, target in targets.items()}
        self._device, self._dtype, self._budget = device, _TYPES[dtype], budget
        self._kept: dict[str, BagTensors] = {}
        #: Bytes of the cached bags.
        self.cached_bytes = 0

    def offer(self, slide_id: str, bag: FeatureBag) -> None:
        """Take a bag that was just read; cache it if there is room.

        Raises
        ------
        BagError
            If a feature is too large for half precision.
        """
        tensors = self._compact(bag)
        # No array beside the bag: freed between two that stay, its room would be lost (torch.isfinite makes three).
        if not all(map(torch.isfinite, tensors.tokens.aminmax())):
            raise BagError(
                f"a feature is too large for {self._dtype}",
                where=self._files[slide_id][0],
                hint="Keep bags in full precision: cache_dtype = 'float32'",
            )
        size = n_bytes(tensors)
        if self.cached_bytes + size <= self._budget:
            self._kept[slide_id] = tensors
            self.cached_bytes += size

    @property
    def n_cached(self) -> int:
        """Number of cached bags."""
        return len(self._kept)

    def label(self, slide_id: str) -> int:
        """Return the position of the class of a slide, without reading its bag."""
        return int(self._labels[slide_id])

    def get(self, slide_id: str) -> Example:
        """Return one bag, from memory or from its file."""
        return self._example(slide_id, self._read(slide_id))

    def in_order(self, slide_ids: Iterable[str]) -> Iterator[Example]:
        """Yield bags in this order; those that are not cached are read ahead by a thread."""
        waiting: deque[tuple[str, Future[BagTensors] | BagTensors]] = deque()
        with ThreadPoolExecutor(1) as reader:
            for slide_id in slide_ids:
                kept = self._kept.get(slide_id)
                waiting.append((slide_id, reader.submit(self._read, slide_id) if kept is None else kept))
                if len(waiting) > READ_AHEAD:
                    yield self._next(waiting)
            while waiting:
                yield self._next(waiting)

    def _next(self, waiting: deque[tuple[str, Future[BagTensors] | BagTensors]]) -> Example:
        slide_id, bag = waiting.popleft()
        return self._example(slide_id, bag.result() if isinstance(bag, Future) else bag)

    def _read(self, slide_id: str) -> BagTensors:
        kept = self._kept.get(slide_id)
        if kept is not None:
            return kept
        return self._compact(join_bags(slide_id, [read_bag(file) for file in self._files[slide_id]]))

    def _compact(self, bag: FeatureBag) -> BagTensors:
        tensors = BagTensors.of(bag, device=self._device)
        return replace(tensors, tokens=tensors.tokens.to(self._dtype))

    def _example(self, slide_id: str, bag: BagTensors) -> Example:
        return Example(slide_id, replace(bag, tokens=bag.tokens.float()), self._labels[slide_id])


class Examples(Sequence[Example]):
    """Some bags of a store, each made when it is asked for."""

    def __init__(self, store: BagStore, slide_ids: Sequence[str]):
        self.store, self.slide_ids = store, tuple(slide_ids)

    def __len__(self) -> int:
        return len(self.slide_ids)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Examples: ...
    def __getitem__(self, index: int | slice) -> Example | Examples:
        """Return one example, or a part of them."""
        if isinstance(index, slice):
            return Examples(self.store, self.slide_ids[index])
        return self.store.get(self.slide_ids[index])


class _Bags(Sequence[BagTensors]):
    """The bags of examples alone."""

    def __init__(self, examples: Sequence[Example]):
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    @overload
    def __getitem__(self, index: int) -> BagTensors: ...
    @overload
    def __getitem__(self, index: slice) -> _Bags: ...
    def __getitem__(self, index: int | slice) -> BagTensors | _Bags:
        if isinstance(index, slice):
            return _Bags(self._examples[index])
        return self._examples[index].bag

    def __iter__(self) -> Iterator[BagTensors]:
        return (example.bag for example in in_order(self._examples, range(len(self))))


def bags_of(examples: Sequence[Example]) -> Sequence[BagTensors]:
    """Return the bags of examples; of those in a store, only the one in use is in memory."""
    return _Bags(examples)


def labels_of(examples: Sequence[Example]) -> list[int]:
    """Return the positions of the classes of examples; bags in a store are not read for it."""
    if isinstance(examples, Examples):
        return [examples.store.label(slide_id) for slide_id in examples.slide_ids]
    return [int(example.label) for example in examples]


def in_order(examples: Sequence[Example], order: Sequence[int]) -> Iterator[Example]:
    """Yield the examples in this order, read ahead where they come from a store."""
    if isinstance(examples, Examples):
        return examples.store.in_order(examples.slide_ids[index] for index in order)
    return (examples[index] for index in order)


def n_bytes(bag: BagTensors) -> int:
    """Bytes of a bag's tensors."""
    values = (getattr(bag, field.name) for field in fields(bag))
    return sum(value.nbytes for value in values if isinstance(value, Tensor))
