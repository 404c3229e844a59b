"""Pixels to the device and features back; on CUDA neither waits for what the device computes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .encoder import PendingFeatures


class Transfers:
    """Copies between memory and one device.

    On CUDA, pixels go from pinned memory through a stream of their own, so that a batch is sent while the one
    before it is computed; features come back into pinned memory, and only who asks for them waits.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._sending: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._sending = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def send(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """(B, S, S, 3) uint8 -> the same on the device."""
        here = torch.from_numpy(np.ascontiguousarray(pixels))
        if self._sending is None:
            return here.to(self._device)
        with torch.cuda.stream(self._sending):
            there = here.pin_memory().to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._sending)
        # The memory must not be given to the next batch before the model has read it.
        there.record_stream(computing)
        return there

    def fetch(self, features: Tensor) -> PendingFeatures:
        """(B, D) on the device -> what waits for it, float32."""
        features = features.float()
        if self._sending is None:
            values: npt.NDArray[np.float32] = features.cpu().numpy()
            return lambda: values
        here = torch.empty(features.shape, dtype=torch.float32, pin_memory=True)
        here.copy_(features, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record(torch.cuda.current_stream(self._device))

        def wait() -> npt.NDArray[np.float32]:
            done.synchronize()
            arrived: npt.NDArray[np.float32] = here.numpy()
            return arrived

        return wait
