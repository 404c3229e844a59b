"""The interface between patch encoders and everything else. Does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeGuard

import numpy as np
import numpy.typing as npt


class Encoder(Protocol):
    """Patches -> features."""

    @property
    def name(self) -> str:
        """Name for the user; recorded in the bag."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the features may change for equal weights."""
        ...

    @property
    def weights_sha256(self) -> str:
        """Checksum of the weights."""
        ...

    @property
    def dim(self) -> int:
        """D: numbers in a feature."""
        ...

    @property
    def preprocessing(self) -> str:
        """Description of the preprocessing of the pixels; recorded in the bag."""
        ...

    def encode(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(B, S, S, 3) uint8 RGB -> (B, D) float32; raises :class:`EncoderError`."""
        ...


#: Waits for the features of a batch that was handed over, and returns them: (B, D) float32.
PendingFeatures = Callable[[], npt.NDArray[np.float32]]


class AsynchronousEncoder(Encoder, Protocol):
    """An encoder whose device works on its own while the next batch is read and sent."""

    @property
    def asynchronous(self) -> bool:
        """Whether that holds for the device it is on now."""
        ...

    def start(self, batch: npt.NDArray[np.uint8]) -> PendingFeatures:
        """Hand over (B, S, S, 3) uint8 RGB; raises :class:`EncoderError`, as does waiting for the features."""
        ...


def is_asynchronous(encoder: Encoder) -> TypeGuard[AsynchronousEncoder]:
    """Whether batches can be handed over to the encoder without waiting for their features."""
    return bool(getattr(encoder, "asynchronous", False))
