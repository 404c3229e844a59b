"""Work in batches that shrink where memory does not suffice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

from ..devices import free_cache, out_of_memory

Result = TypeVar("Result")


class NoRoomError(Exception):
    """There is too little memory even for a single item; the text names the items."""


class Batches:
    """Batches of ``size`` items, half as large from where memory does not suffice, also for later work.

    Parameters
    ----------
    size
        Items at once.
    unit
        What the items are called: ``points``.
    device
        Whose memory it is.
    """

    def __init__(self, size: int, *, unit: str, device: torch.device):
        self.size = size
        self._unit, self._device = unit, device

    def over(self, run: Callable[[Any], Result], items: Any) -> Iterator[Result]:
        """Yield what ``run`` makes of one batch after another.

        Raises
        ------
        NoRoomError
            If there is too little memory for one item.
        """
        position = 0
        while position < len(items):
            size = min(self.size, len(items) - position)
            try:
                result = run(items[position : position + size])
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if size == 1:
                    raise NoRoomError(self._unit) from error
                result = None
            if result is None:  # outside of the handler, where what the attempt held is free
                self.size = size // 2
                free_cache(self._device)
                continue
            position += size
            yield result
