"""Stand-ins for devices that this machine does not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sam_mil_engine.mil import dtfd, patch_graph
from sam_mil_engine.segment import automatic, cores, cross_attention, fast_encoder, mask_filters


def take_the_way_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a processor compute as a GPU does: large batches, all heads and prompts at once, no threads of ours."""
    for module in (automatic, cores, cross_attention, fast_encoder, mask_filters):
        monkeypatch.setattr(module, "on_processor", lambda _device: False)


class WithoutFloat64(TorchDispatchMode):
    """Refuses arrays of float64, as Apple's devices do."""

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else (out,):
            if isinstance(value, torch.Tensor) and value.dtype == torch.float64:
                raise TypeError(f"Cannot convert a MPS Tensor to float64 dtype ({func})")
        return out


def as_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine choose its widest float as it does on Apple's devices."""
    for module in (mask_filters, dtfd, patch_graph):
        monkeypatch.setattr(module, "widest_float", lambda _device: torch.float32)


class FakeCuda:
    """Stands for ``torch.cuda`` in modules that take it: copies happen at once, and what was asked is noted."""

    class _Event:
        def record(self, stream: Any) -> None:
            self.stream = stream

        def synchronize(self) -> None:
            assert self.stream is not None

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.Event = self._Event

    def Stream(self, device: torch.device) -> FakeCuda:  # noqa: N802 - torch's name
        self.asked.append(f"stream on {device}")
        return self

    def stream(self, _stream: Any) -> AbstractContextManager[None]:
        return nullcontext()

    def current_stream(self, _device: torch.device) -> FakeCuda:
        return self

    def wait_stream(self, _stream: Any) -> None:
        self.asked.append("wait")

    def empty_cache(self) -> None:
        self.asked.append("empty cache")
