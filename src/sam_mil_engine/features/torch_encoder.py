"""A torch model as an encoder: pixels to the device, normalised, through the model, features back."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..devices import describe, free_cache, out_of_memory, pick_device
from ..errors import EncoderError
from .encoder import PendingFeatures
from .transfers import Transfers

UInt8Batch = npt.NDArray[np.uint8]
FloatFeatures = npt.NDArray[np.float32]

#: Pixels that go through a model at once on a CPU: more would leave the caches, at a third of the speed.
_CPU_PIXELS = 512 * 512

_AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchEncoder:
    """An encoder around a torch model that takes (B, 3, S, S) and gives (B, D).

    Parameters
    ----------
    model
        The model without its classifier.
    name, version, weights_sha256
        What it is called and how it is told from others.
    dim
        D.
    mean, std
        Normalisation of each colour after division by 255.
    side
        Patches are resized to this side where the model takes no other; None leaves them at their own size.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    precision
        ``float32``; ``bfloat16`` or ``float16`` run under torch's autocast and appear in ``version``.

    Raises
    ------
    EncoderError
        If the precision is unknown.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        name: str,
        version: str,
        weights_sha256: str,
        dim: int,
        mean: Sequence[float],
        std: Sequence[float],
        side: int | None = None,
        device: str = "auto",
        precision: str = "float32",
    ):
        if precision not in _AUTOCAST:
            raise EncoderError(f"there is no precision {precision!r}", hint=f"Choose one of {', '.join(_AUTOCAST)}")
        self._autocast = _AUTOCAST[precision]
        self.name = name
        self.version = version if self._autocast is None else f"{version} {precision}"
        self.weights_sha256 = weights_sha256
        self.dim = dim
        numbers = [" ".join(f"{value:g}" for value in values) for values in (mean, std)]
        size = "own size" if side is None else f"resized to {side} px (bicubic)"
        self.preprocessing = f"(x / 255 - mean) / std, mean {numbers[0]}, std {numbers[1]}, {size}"
        self.side = side
        self._largest_batch: int | None = None
        self._normalisation = [torch.tensor(values, dtype=torch.float32) for values in (mean, std)]
        self._model = model.eval()
        self._move(pick_device(device))

    @property
    def device(self) -> torch.device:
        """Where the model runs now."""
        return self._device

    @property
    def asynchronous(self) -> bool:
        """Whether the device computes while the next batch is read and sent."""
        return self._device.type == "cuda"

    def _move(self, device: torch.device) -> None:
        self._device = device
        self._transfers = Transfers(device)
        self._mean, self._std = (values.to(device) for values in self._normalisation)
        # Channels last is how pixels come, and what convolutions are fastest on.
        self._model = self._model.to(device).to(memory_format=torch.channels_last)

    def encode(self, batch: UInt8Batch) -> FloatFeatures:
        """(B, S, S, 3) uint8 RGB -> (B, D) float32; see :meth:`start`."""
        return self.start(batch)()

    def start(self, batch: UInt8Batch) -> PendingFeatures:
        """Hand over (B, S, S, 3) uint8 RGB; what is returned waits for the (B, D) float32.

        Out of memory, half as many patches are tried at once, and this is kept for the batches that follow; where
        even one does not fit on an accelerator, the CPU takes over with a warning.

        Raises
        ------
        EncoderError
            If the batch has another shape or type, or a single patch does not fit into memory.
        """
        if batch.ndim != 4 or batch.shape[3] != 3 or batch.dtype != np.uint8:
            raise EncoderError(
                f"a batch of patches is (B, S, S, 3) uint8, got {batch.shape} {batch.dtype}",
                hint="Convert the patches to 8-bit RGB",
            )
        parts: list[PendingFeatures] = []
        start = 0
        while start < len(batch):
            part = batch[start : start + self._at_once(batch)]
            pending = self._forward_or_none(part)
            if pending is None:
                self._make_room(len(part), batch.shape)
            else:
                parts.append(pending)
                start += len(part)
        return lambda: np.concatenate([np.empty((0, self.dim), np.float32), *(self._arrived(one) for one in parts)])

    def _arrived(self, pending: PendingFeatures) -> FloatFeatures:
        try:
            return pending()
        except RuntimeError as error:
            raise self._failed(error) from error

    def _failed(self, error: RuntimeError) -> EncoderError:
        return EncoderError(
            f"{self.name} fails on {describe(self._device)}: {error}",
            hint="Try --device cpu",
            window_hint="Close other programs that use the graphics card, and try again",
        )

    def _at_once(self, batch: UInt8Batch) -> int:
        """Patches of the batch that go through the model together."""
        if self._device.type != "cpu":
            return self._largest_batch or len(batch)
        side = self.side or max(batch.shape[1:3])
        return max(1, min(self._largest_batch or len(batch), _CPU_PIXELS // max(1, side * side)))

    def _forward_or_none(self, part: UInt8Batch) -> PendingFeatures | None:
        """Begin a part, or return None where memory ran out; what the attempt held is free again then."""
        try:
            return self._forward(part)
        except RuntimeError as error:
            if out_of_memory(error):
                return None
            raise EncoderError(
                f"{self.name} cannot encode patches of {part.shape[1]} x {part.shape[2]} px: {error}",
                hint="Choose another patch size or encoder",
            ) from error

    @torch.inference_mode()
    def _forward(self, part: UInt8Batch) -> PendingFeatures:
        pixels = self._transfers.send(part)
        scaled = (pixels.to(torch.float32) / 255 - self._mean) / self._std
        with self._half_precision():
            output = self._model(self._at_model_size(scaled.permute(0, 3, 1, 2)))
        if not isinstance(output, Tensor) or output.shape != (len(part), self.dim):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise EncoderError(
                f"{self.name} returned {shape} for {len(part)} patches, expected {(len(part), self.dim)}",
                hint="The model has no pooled feature vector: choose another",
            )
        return self._transfers.fetch(output)

    def _half_precision(self) -> AbstractContextManager[object]:
        if self._autocast is None:
            return nullcontext()
        return torch.autocast(self._device.type, dtype=self._autocast)

    def _at_model_size(self, pixels: Tensor) -> Tensor:
        if self.side is None or pixels.shape[-2:] == (self.side, self.side):
            return pixels
        size = (self.side, self.side)
        return nn.functional.interpolate(pixels, size=size, mode="bicubic", antialias=True, align_corners=False)

    def _make_room(self, tried: int, shape: tuple[int, ...]) -> None:
        """Halve the batch, or leave the accelerator, or give up."""
        free_cache(self._device)
        if tried > 1:
            self._largest_batch = tried // 2
        elif self._device.type != "cpu":
            warnings.warn(
                f"{self.name}: one patch of {shape[1]} x {shape[2]} px does not fit on {describe(self._device)};"
                " continuing on the CPU",
                stacklevel=3,
            )
            self._largest_batch = None
            self._move(torch.device("cpu"))
        else:
            raise EncoderError(
                f"{self.name}: one patch of {shape[1]} x {shape[2]} px does not fit into memory",
                hint="Use smaller patches, a smaller encoder, or a machine with more memory",
            )
