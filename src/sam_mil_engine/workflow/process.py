"""Preprocessing: from a slide file to a bag with features and groups, stage by stage, resumable."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..bag import h5
from ..errors import Cancelled, DataError, SamMilError, SettingsError
from ..progress import Progress, ProgressCallback, silent
from ..provenance import versions
from ..settings import STAGES, ProcessSettings, key
from ..slide.info import slide_id_of
from ..slide.reader import open_slide
from .outcome import ProcessedSlide, SlideOutcome
from .project import ProcessRow, Project, slide_sha
from .stages import NEEDS, RUN, SlideJob
from .tools import Tools

_log = logging.getLogger(__name__)


def process_slide(
    path: str | Path,
    project: str | Path,
    *,
    settings: ProcessSettings | None = None,
    stages: Collection[str] = STAGES,
    tools: Tools | None = None,
    progress: ProgressCallback = silent,
) -> ProcessedSlide:
    """Run the stages on one slide; what was done before with the same settings is kept.

    Parameters
    ----------
    path
        The slide.
    project
        The project folder; made if it does not exist.
    settings
        All settings of preprocessing; the defaults where None.
    stages
        Which stages to run: any of ``tissue, tiles, segments, features, groups``.
    tools
        Loaded models to share between calls; made from ``settings`` where None.
    progress
        Called at every step; raising :class:`Cancelled` in it stops the run, and finished stages stay.

    Raises
    ------
    SlideError, SegmentError, EncoderError, BagError
        What went wrong, which is also written into ``process.csv``.
    SettingsError
        If a stage is unknown, or one that it needs is neither done nor asked for.
    ProjectError
        If the folder cannot be written or another process works on the slide.
    """
    tools = tools or Tools(settings or ProcessSettings())
    wanted = _check_stages(stages)
    home = Project(project)
    home.save_settings(tools.settings, versions())
    slide_id = slide_id_of(Path(path))
    with home.lock(slide_id), _recorded(home, slide_id, Path(path)) as row, open_slide(path) as slide:
        job = SlideJob(slide, slide_id, home, tools, progress)
        reused = _run_stages(job, wanted, row)
        return _result(job, row.seconds, reused)


def _check_stages(stages: Collection[str]) -> list[str]:
    unknown = sorted(set(stages) - set(STAGES))
    if unknown or not stages:
        raise SettingsError(
            f"unknown stages: {', '.join(unknown)}" if unknown else "no stage is asked for",
            hint=f"The stages are {', '.join(STAGES)}",
        )
    return [stage for stage in STAGES if stage in stages]


@dataclass(slots=True)
class _Row:
    """What the stages report for ``process.csv`` while they run."""

    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def _recorded(home: Project, slide_id: str, path: Path) -> Iterator[_Row]:
    """Keep the slide's line of ``process.csv`` true whatever happens in the block."""
    before = home.rows().get(slide_id)
    state = ProcessRow(slide_id, str(path.resolve()), "running", seconds=before.seconds if before else {})
    home.record(state)
    row = _Row()

    def finish(name: str, error: str = "", hint: str = "") -> None:
        bag = home.bag(slide_id)
        grid = h5.read_grid(bag) if bag.exists() else None
        segments = h5.read_segments(bag) if bag.exists() else None
        home.record(
            replace(
                state,
                state=name,
                tiles=None if grid is None else len(grid),
                segments=None if segments is None else len(segments),
                seconds={**state.seconds, **row.seconds},
                error=error,
                hint=hint,
            )
        )

    try:
        yield row
    except (Cancelled, KeyboardInterrupt):
        finish("cancelled")
        raise
    except SamMilError as error:
        finish("failed", str(_without_hint(error)), error.hint or "")
        raise
    except Exception as error:
        finish("failed", f"{type(error).__name__}: {error}", "This is unexpected; please report it with the log")
        raise
    finish("done")


def _without_hint(error: SamMilError) -> SamMilError:
    """Return the same error without its hint, which has a column of its own."""
    return type(error)(error.what, where=error.where)


def _run_stages(job: SlideJob, wanted: Sequence[str], row: _Row) -> tuple[str, ...]:
    """Run what is wanted and not done; return the stages that could be reused."""
    fingerprint = slide_sha(job.slide.info)
    done = h5.read_stages(job.bag)
    reused: list[str] = []
    superseded = False
    for number, stage in enumerate(wanted):
        job.progress(Progress("process", number, len(wanted), "stages", stage))
        missing = [name for name in NEEDS[stage] if name not in done]
        if missing:
            raise SettingsError(
                f"the stage {stage!r} needs {' and '.join(missing)} of {job.slide_id!r} first",
                where=job.bag,
                hint=f"Add {','.join(missing)} to --stages",
            )
        stage_key = job.tools.stage_key(stage, fingerprint, done)
        if done.get(stage) == stage_key:
            reused.append(stage)
            continue
        stale = [name for name in STAGES if name in done and _depends(name, stage)]
        if stale and not superseded:
            job.project.supersede(job.slide_id)
            superseded = True
        _prepare(job, fingerprint, stale)
        start = time.perf_counter()
        RUN[stage](job, stage_key)
        row.seconds[stage] = time.perf_counter() - start
        done = h5.read_stages(job.bag)
    job.progress(Progress("process", len(wanted), len(wanted), "stages", "done"))
    return tuple(reused)


def _depends(stage: str, on: str) -> bool:
    """Whether ``stage`` is, or is made from, the result of ``on``."""
    return stage == on or any(_depends(name, on) for name in NEEDS[stage])


def _prepare(job: SlideJob, fingerprint: str, stale: Collection[str]) -> None:
    """Write the facts of the slide and drop what the next stage makes invalid, where that changes anything."""
    info = job.slide.info
    facts = {
        "slide_id": job.slide_id,
        "slide_sha": fingerprint,
        "slide_path": str(info.path.resolve()),
        "vendor": info.vendor,
        "mpp": info.mpp,
        "objective_power": info.objective_power,
        "settings_key": key(job.tools.settings),
    }
    known = h5.read_attributes(job.bag) if job.bag.exists() else {}
    if stale or any(known.get(name) != value for name, value in facts.items() if value is not None):
        with h5.edit_bag(job.bag, drop=stale) as file:
            h5.put_attributes(file, facts)


def _result(job: SlideJob, seconds: dict[str, float], reused: tuple[str, ...]) -> ProcessedSlide:
    path = job.bag
    grid = h5.read_grid(path)
    bag = h5.read_bag(path) if "features" in h5.read_stages(path) else None
    return ProcessedSlide(
        slide_id=job.slide_id,
        bag_path=path,
        info=job.slide.info,
        tissue=h5.read_tissue(path),
        grid=grid,
        segments=h5.read_segments(path),
        bag=bag,
        seconds=seconds,
        reused=reused,
        tiles=None if grid is None else len(grid),
        groups=None if bag is None or bag.groups is None else len(bag.groups),
    )


def process_slides(
    paths: Sequence[Path],
    project: str | Path,
    *,
    settings: ProcessSettings | None = None,
    stages: Collection[str] = STAGES,
    device: str = "auto",
    progress: ProgressCallback = silent,
) -> Iterator[SlideOutcome]:
    """Run :func:`process_slide` on many slides; one that fails does not stop the others.

    Yields
    ------
    SlideOutcome
        As soon as each slide ends. Failures are in ``process.csv`` too, with a hint.

    Raises
    ------
    DataError
        Before anything runs, if two slides have the same name: their files would overwrite each other.
    """
    check_names(paths, stages)
    tools = Tools(settings or ProcessSettings(), device=device)
    for path in paths:
        try:
            yield SlideOutcome(path, process_slide(path, project, stages=stages, tools=tools, progress=progress))
        except Cancelled:
            raise
        except SamMilError as error:
            yield SlideOutcome(path, error=error)
        except Exception as error:  # noqa: BLE001  (one slide never stops the others; the log has the traceback)
            _log.exception("unexpected error in %s", path)
            yield SlideOutcome(path, error=error)


def check_names(paths: Sequence[Path], stages: Collection[str]) -> None:
    """Refuse unknown stages and slides whose files would overwrite each other."""
    _check_stages(stages)
    names = Counter(slide_id_of(path) for path in paths)
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        raise DataError(f"several slides are called {', '.join(twice)}", hint="Give every slide its own name")
