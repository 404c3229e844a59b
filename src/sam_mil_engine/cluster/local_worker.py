"""Loaded by the workers of ``--scheduler local`` when they start: Ctrl-C is for the process that started them.

A terminal sends Ctrl-C to all of them. The workers would die in the middle of their slides; so they are told to
stop by that process, and say in ``process.csv`` that they did.
"""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Ignore the interrupt; Dask calls this in the main thread of the worker."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
