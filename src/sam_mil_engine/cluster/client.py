"""Dask clusters: a scheduler that is there, or one for this machine alone."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..devices import cpu_count
from ..errors import ProjectError

#: The resource that a worker declares, ``dask worker --resources GPU=1``, and a slide asks for where one does.
GPU = "GPU"
#: How often a local scheduler gives work to another worker when a worker is lost.
RETRIES = 2
#: Seconds in which a scheduler has to answer.
_ANSWER = 10
#: Time that a worker of this machine may take to start again after it was lost; Dask would give it up after 15 s.
_RESTART = "10 minutes"
#: Only this machine may talk to a scheduler that is started here.
_HERE = "127.0.0.1"
#: Leaves Ctrl-C to the process that started the workers.
_PRELOAD = "sam_mil_engine.cluster.local_worker"


@contextmanager
def connected(address: str, *, device: str = "auto", most: int | None = None) -> Iterator[Any]:
    """Yield a client of a scheduler.

    Parameters
    ----------
    address
        ``local`` starts a scheduler and workers on this machine: one a CUDA device, each with a device of its own,
        else one a core. Anything else is the address of a scheduler, ``tcp://HOST:PORT``.
    device
        Where models run; ``cpu`` leaves CUDA devices alone.
    most
        Workers of ``local`` that there is work for.

    Raises
    ------
    ProjectError
        If the scheduler does not answer.
    """
    import dask
    from distributed import Client

    if address == "local":
        patience = dask.config.set({"distributed.deploy.lost-worker-timeout": _RESTART})
        with patience, _local_cluster(_gpus(device), most) as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(address, timeout=_ANSWER)
    except (OSError, ValueError) as error:
        raise ProjectError(
            f"the Dask scheduler does not answer ({error})",
            where=address,
            hint="Start one with `dask scheduler` and `dask worker ADDRESS`, or use --scheduler local",
            window_hint="Start the scheduler and its workers first",
        ) from error
    with client:
        yield client


def _gpus(device: str) -> list[str]:
    """List the CUDA devices for workers, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if device not in {"auto", "cuda"}:
        return []
    import torch

    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(str(number) for number in range(count))
    return [name.strip() for name in visible.split(",")][:count]


def _local_cluster(gpus: list[str], most: int | None) -> Any:
    from distributed import Nanny, Scheduler, SpecCluster
    from distributed.system import MEMORY_LIMIT

    cores = cpu_count()
    count = min(len(gpus) or cores, max(1, most or cores))
    threads = str(max(1, cores // count) if gpus else 1)

    def worker(number: int) -> dict[str, Any]:
        device = {"CUDA_VISIBLE_DEVICES": gpus[number]} if gpus else {}
        options = {
            "host": _HERE,
            "nthreads": 1,
            "memory_limit": MEMORY_LIMIT // count,
            "resources": {GPU: 1} if gpus else {},
            "env": {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, **device},
            "preload": _PRELOAD,
            "silence_logs": logging.WARNING,
        }
        return {"cls": Nanny, "options": options}

    scheduler = {"host": _HERE, "dashboard_address": f"{_HERE}:0", "allowed_failures": RETRIES}
    return SpecCluster(
        workers={number: worker(number) for number in range(count)},
        scheduler={"cls": Scheduler, "options": scheduler},
        silence_logs=logging.WARNING,
        name="sam-mil-engine",
    )


def capacity(client: Any) -> tuple[int, bool]:
    """Return how many slides the workers can take at once, and whether slides should ask for a GPU."""
    workers = client.sync(client.scheduler.identity)["workers"].values()
    gpus = sum(int(worker["resources"].get(GPU, 0)) for worker in workers)
    return gpus or sum(worker["nthreads"] for worker in workers), gpus > 0
