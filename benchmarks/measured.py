"""What the benchmarks share: their device, its memory, and where the figures of a run go."""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def device_named(name: str) -> torch.device:
    """The device, or the end of the script with a sentence that says why it cannot be used."""
    from sam_mil_engine.devices import pick_device
    from sam_mil_engine.errors import SettingsError

    try:
        return pick_device(name)
    except SettingsError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def wait(device: torch.device) -> None:
    """Until an accelerator has computed all that it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget_peak(device: torch.device) -> None:
    """Count the peak of an accelerator's memory from now on."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int:
    """The most memory held at once: on a GPU what torch gave out there, else what the process took."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def keep(metrics: Mapping[str, object], path: Path | None) -> None:
    """Write the figures of a run as JSON, machine and versions with them; to standard output without a path."""
    text = json.dumps({**metrics, **machine()}, indent=2) + "\n"
    if path is None:
        print(text, end="")
    else:
        path.write_text(text)


def machine() -> dict[str, object]:
    """What a figure is to be read beside."""
    return {
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "torch")},
    }
