"""Folds in parallel on many processes or machines, through dask.distributed: a fold of a model is the unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..devices import cpu_count
from ..errors import DataError, ProjectError
from ..progress import Progress, ProgressCallback, silent
from .client import RETRIES, connected

if TYPE_CHECKING:
    from ..training.data import LoadedBags
    from ..training.plan import FoldJob, Runner

#: Seconds between two reports while folds are computed elsewhere; a cancelled run stops within them.
_POLL = 1.0


def on_cluster(address: str = "local") -> Runner:
    """Return a runner for :func:`~sam_mil_engine.cross_validate` that trains folds on Dask workers.

    Every worker keeps its own copy of the bags. The numbers are those of training in turn with as many threads
    as a worker has (one, with ``local``).

    Parameters
    ----------
    address
        ``local`` starts one worker per core on this machine, which share the memory budget for bags; else the
        address of a scheduler, ``tcp://HOST:PORT``, whose workers see bags and runs under the same paths.
    """

    def run(jobs: Sequence[FoldJob], progress: ProgressCallback = silent) -> Iterator[FoldJob]:
        from distributed import KilledWorker, wait

        if not jobs:
            return
        workers = min(cpu_count(), len(jobs)) if address == "local" else None
        with connected(address, device="cpu", most=workers) as client:
            pending = {
                client.submit(_one, job, 1 / (workers or 1), retries=RETRIES, pure=False): job for job in jobs
            }
            link = str(client.dashboard_link or "")
            while pending:
                progress(Progress("cluster", len(jobs) - len(pending), len(jobs), unit="folds", message=link))
                try:
                    ended = wait(list(pending), timeout=_POLL, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    continue
                for future in ended:
                    job = pending.pop(future)
                    try:
                        future.result()
                    except KilledWorker as error:
                        raise ProjectError(
                            f"the worker of this fold was lost {RETRIES + 1} times, perhaps because it "
                            f"ran out of memory",
                            where=job.folder,
                            hint="Lower cache_gib, or use fewer workers; then resume",
                        ) from error
                    if not job.is_done:
                        raise DataError(
                            "a worker has trained this fold, but its result is missing here",
                            where=job.folder,
                            hint="Bags and runs must have the same paths on every worker: use a shared folder",
                        )
                    yield job

    return run


_LOADED: dict[str, Any] = {}


def _one(job: FoldJob, share: float) -> None:
    """Train one fold on a worker; the result stays in the fold's folder."""
    if not job.is_done:
        job.train(_bags(job, share))


def _bags(job: FoldJob, share: float) -> LoadedBags:
    """Return the bags of this worker, read once for all its folds."""
    from ..settings import key
    from ..training.plan import bags_for

    settings = job.settings
    paths = {name: str(path) for name, path in job.cohort.paths.items()}
    labels = list(job.cohort.table["label"])
    parts = {name: list(slides) for name, slides in job.cohort.parts.items()}
    name = key(paths, parts, labels, settings.device, settings.cache_dtype, settings.cache_gib, share)
    if name not in _LOADED:
        _LOADED.clear()
        _LOADED[name] = bags_for(job, share=share)
    loaded: LoadedBags = _LOADED[name]
    return loaded
