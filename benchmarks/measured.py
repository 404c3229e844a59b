"""What the benchmarks share: where the figures of a run go, and beside what machine they are to be read."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path


def keep(metrics: Mapping[str, object], path: Path | None) -> None:
    """Write the figures of a run as JSON, machine and versions with them; to standard output without a path."""
    machine = {
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "torch")},
    }
    text = json.dumps({**metrics, **machine}, indent=2) + "\n"
    if path is None:
        print(text, end="")
    else:
        path.write_text(text)
