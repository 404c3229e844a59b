"""Patches of a slide -> features, in blocks: threads read and decode ahead while the encoder works."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import EncoderError
from ..progress import Progress, ProgressCallback, silent
from ..settings import FeatureSettings
from ..slide.tile_grid import TileGrid
from ..slide.tiling import read_tile
from .registry import Encoder

if TYPE_CHECKING:
    from ..slide.slide import Slide

Tile = npt.NDArray[np.uint8]
FloatFeatures = npt.NDArray[np.float32] | npt.NDArray[np.float16]


def encode_tiles(
    slide: Slide,
    grid: TileGrid,
    encoder: Encoder,
    *,
    settings: FeatureSettings,
    start: int = 0,
    progress: ProgressCallback = silent,
) -> Generator[tuple[int, FloatFeatures]]:
    """Encode the patches of a slide in their order.

    Tiles are read at most two batches ahead, so memory does not grow with the slide. Closing the generator, or an
    exception out of ``progress``, ends the reading threads.

    Parameters
    ----------
    slide, grid
        The slide and its patches.
    encoder
        What makes features of them.
    settings
        Batch, block, threads, and the type of the numbers.
    start
        First patch to encode; those before it are there already.
    progress
        Called before the first batch and after each, stage ``features``, unit ``tiles``.

    Yields
    ------
    The number of the first patch of a block, and its features (at most ``settings.block``, D).

    Raises
    ------
    EncoderError
        If the encoder fails, or gives numbers that are not finite in the type that was asked for.
    SlideError
        If a tile cannot be read.
    """
    total = len(grid)
    progress(Progress("features", start, total, unit="tiles"))
    tiles = _read_ahead(slide, grid, start, ahead=2 * settings.batch_size, threads=settings.readers)
    try:
        for first in range(start, total, settings.block):
            last = min(first + settings.block, total)
            block = np.empty((last - first, encoder.dim), dtype=settings.dtype)
            for row in range(first, last, settings.batch_size):
                end = min(row + settings.batch_size, last)
                features = encoder.encode(np.stack([next(tiles) for _ in range(row, end)]))
                block[row - first : end - first] = _as_type(features, settings.dtype, first_row=row)
                progress(Progress("features", end, total, unit="tiles"))
            yield first, block
    finally:
        tiles.close()


def _read_ahead(slide: Slide, grid: TileGrid, start: int, *, ahead: int, threads: int) -> Generator[Tile]:
    """Yield the tiles from ``start`` on, in order; at most ``ahead`` of them are in memory."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="tiles")
    waiting: deque[Future[Tile]] = deque()
    try:
        for number in range(start, len(grid)):
            waiting.append(pool.submit(read_tile, slide, grid, number))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _as_type(features: npt.NDArray[np.float32], dtype: str, *, first_row: int) -> FloatFeatures:
    with np.errstate(over="ignore"):
        converted: FloatFeatures = features.astype(dtype)
    bad = np.flatnonzero(~np.isfinite(converted).all(axis=1))
    if len(bad) == 0:
        return converted
    row = int(bad[0])
    if np.isfinite(features[row]).all():
        raise EncoderError(
            f"the feature of patch {first_row + row} holds {np.abs(features[row]).max():g}, too large for {dtype}",
            hint="Set the dtype of the features to float32",
        )
    raise EncoderError(
        f"the feature of patch {first_row + row} is not finite",
        hint="The weights of the encoder are damaged, or it does not run well on this device: try the device cpu",
    )
