"""Preprocessing: from a slide file to a bag with features and groups, stage by stage, resumable."""

from __future__ import annotations

import logging
from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from pathlib import Path

from ..devices import pick_device, slides_ahead
from ..errors import Cancelled, SamMilError
from ..progress import ProgressCallback, silent
from ..provenance import versions
from ..settings import STAGES, ProcessSettings
from ..slide.finding import require_own_names
from ..slide.info import slide_id_of
from .pipeline import PreparedSlide, overlapped
from .project import Project
from .results import ProcessedSlide, SlideOutcome
from .runner import SlideRun, finish, run_slide
from .settling import settle
from .stage_runner import check_stages
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
    wanted = check_stages(stages)
    return finish(run_slide(Path(path), project, tools=tools, wanted=wanted, progress=progress))


def process_slides(
    paths: Sequence[Path],
    project: str | Path,
    *,
    settings: ProcessSettings | None = None,
    stages: Collection[str] = STAGES,
    device: str = "auto",
    tools: Tools | None = None,
    ahead: int | None = None,
    progress: ProgressCallback = silent,
) -> Generator[SlideOutcome]:
    """Run :func:`process_slide` on many slides; one that fails does not stop the others.

    Parameters
    ----------
    paths, project, settings, stages, tools, progress
        As for :func:`process_slide`; ``progress`` is called by the caller's thread.
    device
        Where models run that are not in ``tools``.
    ahead
        Slides that are opened, and whose tissue and first tiles are read, while another one is encoded; 0 takes
        one after the other; None chooses by device and cores. No bag depends on it.

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
    tools = tools or Tools(settings or ProcessSettings(), device=device)
    wanted = check_stages(stages)
    if ahead is None:
        ahead = slides_ahead(pick_device(tools.device)) if "features" in wanted else 0
    home = Project(project)
    home.save_settings(tools.settings, versions())  # a folder that cannot be written is no matter of one slide
    settle(home)

    def begin(path: Path, report: ProgressCallback) -> SlideRun:
        return run_slide(path, project, tools=tools, wanted=wanted, progress=report)

    with closing(overlapped(paths, begin, ahead=ahead, progress=progress)) as slides:
        for path, slide in slides:
            yield _outcome(path, slide)


def _outcome(path: Path, slide: PreparedSlide) -> SlideOutcome:
    try:
        return SlideOutcome(path, slide.finish())
    except Cancelled:
        raise
    except SamMilError as error:
        return SlideOutcome(path, error=error)
    except Exception as error:  # noqa: BLE001  (one slide never stops the others; the log has the traceback)
        _log.exception("unexpected error in %s", path)
        return SlideOutcome(path, error=error)


def check_names(paths: Sequence[Path], stages: Collection[str]) -> None:
    """Refuse unknown stages and slides whose files would overwrite each other."""
    check_stages(stages)
    require_own_names((slide_id_of(path), path) for path in paths)
