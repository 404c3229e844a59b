"""Patches of a slide -> features, in blocks: every patch is read once, whatever the number of encoders."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import EncoderError
from ..progress import Progress, ProgressCallback, silent
from ..settings import FeatureSettings
from .encoder import Encoder, PendingFeatures, is_asynchronous
from .patch_stream import PatchStream, UInt8Batch

FloatFeatures = npt.NDArray[np.float32] | npt.NDArray[np.float16]


def encode_patches(
    tiles: PatchStream,
    encoders: Sequence[Encoder],
    *,
    settings: FeatureSettings,
    starts: Sequence[int] = (0,),
    progress: ProgressCallback = silent,
) -> Generator[tuple[int, list[FloatFeatures]]]:
    """Encode the patches of a stream in their order, by every encoder.

    On an accelerator that computes on its own, a batch is handed over while the one before it is still computed.

    Parameters
    ----------
    tiles
        The patches; its start is the smallest of ``starts``. The caller closes it.
    encoders
        What makes features of them.
    settings
        Batch, block, and the type of the numbers.
    starts
        For every encoder its first patch; those before it are there already.
    progress
        Called before the first batch and after each, stage ``features``, unit ``tiles``.

    Yields
    ------
    The number of the first patch of a block, and for every encoder the features that were missing of the block: at
    most (``settings.block``, D), fewer or none where ``starts`` lies behind the block's start.

    Raises
    ------
    EncoderError
        If an encoder fails, or gives numbers that are not finite in the type that was asked for.
    SlideError
        If a patch cannot be read.
    """
    total = len(tiles.grid)
    progress(Progress("features", tiles.start, total, unit="tiles"))
    at_once = 1 + any(is_asynchronous(encoder) for encoder in encoders)
    begun: deque[tuple[int, list[PendingFeatures]]] = deque()
    block_start, rows = tiles.start, _no_rows(encoders)

    def collect() -> Generator[tuple[int, list[FloatFeatures]]]:
        """Take the features of the oldest batch that is with the encoders; a block that is whole is yielded."""
        nonlocal block_start, rows
        end, pending = begun.popleft()
        for parts, features in zip(rows, pending, strict=True):
            parts.append(_as_type(features(), settings.dtype, end=end))
        progress(Progress("features", end, total, unit="tiles"))
        if end == total or (end - tiles.start) % tiles.block == 0:
            yield block_start, [_joined(parts) for parts in rows]
            block_start, rows = end, _no_rows(encoders)

    for first, batch in tiles:
        pending = [_begin(one, batch, first, start) for one, start in zip(encoders, starts, strict=True)]
        begun.append((first + len(batch), pending))
        if len(begun) == at_once:
            yield from collect()
    while begun:
        yield from collect()


def _no_rows(encoders: Sequence[Encoder]) -> list[list[FloatFeatures]]:
    return [[] for _ in encoders]


def _joined(parts: Sequence[npt.NDArray[Any]]) -> FloatFeatures:
    block: FloatFeatures = np.concatenate(parts)
    return block


def _begin(encoder: Encoder, batch: UInt8Batch, first: int, start: int) -> PendingFeatures:
    """Hand the patches from ``start`` on to the encoder, and wait for it where it cannot work on its own."""
    part = batch[max(0, start - first) :]
    if len(part) == 0:
        return lambda: np.zeros((0, encoder.dim), dtype=np.float32)
    if is_asynchronous(encoder):
        return encoder.start(part)
    features = encoder.encode(part)
    return lambda: features


def _as_type(features: npt.NDArray[np.float32], dtype: str, *, end: int) -> FloatFeatures:
    with np.errstate(over="ignore"):
        converted: FloatFeatures = features.astype(dtype)
    bad = np.flatnonzero(~np.isfinite(converted).all(axis=1))
    if len(bad) == 0:
        return converted
    row = int(bad[0])
    patch = end - len(features) + row
    if np.isfinite(features[row]).all():
        raise EncoderError(
            f"the feature of patch {patch} holds {np.abs(features[row]).max():g}, too large for {dtype}",
            hint="Set the dtype of the features to float32",
        )
    raise EncoderError(
        f"the feature of patch {patch} is not finite",
        hint="The weights of the encoder are damaged, or it does not run well on this device: try the device cpu",
    )
