"""Many slides on many processes or machines, through dask.distributed: a slide is the unit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..devices import cpu_count
from ..errors import ProjectError, SamMilError
from ..progress import Progress, ProgressCallback, silent
from ..settings import STAGES, ProcessSettings
from .outcome import SlideOutcome
from .process import check_names, process_slide
from .tools import Tools

#: How often a slide is given to another worker when the one that had it is lost.
RETRIES = 2


def process_on_cluster(
    paths: Sequence[Path],
    project: str | Path,
    *,
    settings: ProcessSettings | None = None,
    stages: Collection[str] = STAGES,
    device: str = "auto",
    address: str = "local",
    progress: ProgressCallback = silent,
) -> Iterator[SlideOutcome]:
    """Run :func:`~.process.process_slide` on the workers of a Dask scheduler.

    Parameters
    ----------
    paths, project, settings, stages, device, progress
        As for :func:`~.process.process_slides`; slides and project must have the same paths on every worker.
    address
        ``local`` starts one worker a core on this machine; else the address of a scheduler, ``tcp://HOST:PORT``.

    Yields
    ------
    SlideOutcome
        As slides end, in no fixed order.

    Raises
    ------
    ProjectError
        If the scheduler does not answer.
    """
    from distributed import Client, as_completed

    check_names(paths, stages)
    settings = settings or ProcessSettings()
    with connect(Client, address) as client:
        jobs = {
            client.submit(
                _one, path, Path(project), settings, tuple(stages), device, retries=RETRIES, pure=False
            ): path
            for path in paths
        }
        link = str(client.dashboard_link or "")
        for done, job in enumerate(as_completed(list(jobs)), start=1):
            progress(Progress("cluster", done, len(jobs), "slides", link))
            error = job.exception()
            yield SlideOutcome(jobs[job], error=error) if error is not None else job.result()


def connect(client: Any, address: str, *, workers: int | None = None) -> Any:
    """Return a client of the scheduler; ``local`` starts one, with ``workers`` processes (one a core if None)."""
    if address == "local":
        return client(n_workers=workers or cpu_count(), threads_per_worker=1, dashboard_address=":0")
    try:
        return client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise ProjectError(
            f"the Dask scheduler does not answer ({error})",
            where=address,
            hint="Start one with `dask scheduler` and `dask worker ADDRESS`, or use --scheduler local",
        ) from error


def _one(
    path: Path, project: Path, settings: ProcessSettings, stages: tuple[str, ...], device: str
) -> SlideOutcome:
    """Process one slide on a worker; an expected failure travels home as part of the outcome."""
    try:
        result = process_slide(path, project, stages=stages, tools=_tools(settings, device))
    except SamMilError as error:
        return SlideOutcome(path, error=error)
    return SlideOutcome(path, result.without_arrays())


_LOADED: dict[str, Tools] = {}


def _tools(settings: ProcessSettings, device: str) -> Tools:
    """Return the models of this worker, loaded once for all its slides."""
    name = f"{device} {settings.model_dump_json()}"
    if name not in _LOADED:
        _LOADED.clear()
        _LOADED[name] = Tools(settings, device=device)
    return _LOADED[name]
