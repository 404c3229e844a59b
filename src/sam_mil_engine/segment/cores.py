"""Many small pieces of work on a processor's cores: one piece per core, not every product cut among all of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self, TypeVar

import torch

from ..devices import on_processor

Item = TypeVar("Item")
Result = TypeVar("Result")


class Cores:
    """As many threads as torch uses on a processor; one, the caller's, on any other device or if torch uses one.

    Parameters
    ----------
    device
        Where the work is done.
    """

    def __init__(self, device: torch.device):
        self._n_threads = torch.get_num_threads() if on_processor(device) else 1
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self._n_threads > 1:
            self._pool = ThreadPoolExecutor(
                self._n_threads, "cores", initializer=torch.set_num_threads, initargs=(1,)
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            # What a thread sets for itself would hold for all that begin later, too.
            torch.set_num_threads(self._n_threads)

    def map(self, run: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """Yield what ``run`` makes of each item, in order, in inference mode and with one of torch's threads each.

        Closing the iterator, or an error in ``run``, drops what has not begun and waits for what has.
        """
        if self._pool is None:
            yield from map(run, items)
            return
        futures = [self._pool.submit(torch.inference_mode()(run), item) for item in items]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
            wait(futures)
