"""The device on which computations run. Does not import torch until asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .errors import SettingsError
from .settings import SLIDES_AHEAD

if TYPE_CHECKING:
    import torch

#: Cores from which on a slide is prepared while a model computes on them (benchmarks/extract.py).
_CORES_FOR_TWO = 4


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called ``name``; ``auto`` takes cuda, then mps, then cpu.

    Raises
    ------
    SettingsError
        If the device is unknown or not available on this machine.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            name = "cuda"
        elif torch.backends.mps.is_available():
            name = "mps"
        else:
            name = "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"the device {name!r} cannot be used here ({str(error).splitlines()[0]})",
            hint="Use auto, cpu, cuda, cuda:1 or mps; several CUDA devices share slides with `--scheduler local`;"
            " `sam-mil-engine doctor` lists what this machine has",
            window_hint="Close other programs that use the graphics card and start napari again",
        ) from error
    return device


def describe(device: torch.device) -> str:
    """One line for the user: ``cpu (2 threads)`` or the name of the accelerator and its memory."""
    import torch

    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    if device.type == "mps":
        return f"{device} (float32 in place of float64; what torch lacks there runs on the CPU)"
    return str(device)


def on_processor(device: torch.device) -> bool:
    """Whether a processor computes: it is fastest with pieces that fit into its cache, a GPU with large ones."""
    return device.type == "cpu"


def widest_float(device: torch.device) -> torch.dtype:
    """Return float64, or float32 on Apple's devices, which have no other: whole numbers are exact up to 2^24."""
    import torch

    return torch.float32 if device.type == "mps" else torch.float64


def out_of_memory(error: RuntimeError) -> bool:
    """Tell torch's ways of saying so: a class of its own on accelerators, words on a CPU and on Apple's devices."""
    import torch

    text = str(error)
    words = ("out of memory", "not enough memory", "allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(word in text for word in words)


def free_cache(device: torch.device) -> None:
    """Give back what torch keeps of an accelerator's memory, so that a smaller piece of work finds room."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def reading_threads(device: torch.device) -> int:
    """Threads that feed a model: on a CPU the model needs the cores itself, an accelerator leaves them all."""
    return 2 if device.type == "cpu" else min(16, max(2, cpu_count()))


def slides_ahead(device: torch.device) -> int:
    """Slides to prepare while a model works: none where it shares few cores with them, which slows both."""
    return 0 if device.type == "cpu" and cpu_count() < _CORES_FOR_TWO else SLIDES_AHEAD


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
