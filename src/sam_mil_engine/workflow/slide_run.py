"""One slide from its lock to its last stage, in two halves: what needs no model, then the rest."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from .. import layout
from ..bag import h5
from ..errors import SettingsError
from ..progress import ProgressCallback
from ..provenance import versions
from ..settings import FeatureSettings
from ..slide.info import slide_id_of
from ..slide.reader import open_slide
from .encoding import begin_reading
from .outcome import ProcessedSlide
from .project import Project
from .recording import recorded
from .slide_job import SlideJob
from .stage_runner import StageRunner
from .tools import Tools

#: The stages of the first half.
FIRST_HALF = ("tissue", "tiles")
SECOND_HALF = ("segments", "features", "groups")

#: Stops once, between the halves; returns the result.
SlideRun = Generator[None, None, ProcessedSlide]


def run_slide(
    path: Path, project: str | Path, *, tools: Tools, wanted: Sequence[str], progress: ProgressCallback
) -> SlideRun:
    """Run the wanted stages on one slide.

    The first half opens the slide, finds tissue, lays the tiles and begins to read the first ones. The generator
    may be driven from different threads, one after the other. Closing it, or an error thrown into it, gives the
    slide back and is recorded in ``process.csv``.
    """
    _check_folders(tools.settings.features)
    home = Project(project)
    home.save_settings(tools.settings, versions())
    slide_id = slide_id_of(path)
    with (
        home.lock(slide_id),
        recorded(home, slide_id, path) as record,
        open_slide(path) as slide,
        ExitStack() as ends,
    ):
        runner = StageRunner(
            SlideJob(slide=slide, slide_id=slide_id, project=home, tools=tools, progress=progress), wanted, record
        )
        runner.run(FIRST_HALF)
        tiles = begin_reading(runner.job) if "features" in wanted else None
        if tiles is not None:
            ends.callback(tiles.close)
            runner.job = replace(runner.job, tiles=tiles)
        yield
        runner.run(SECOND_HALF)
        return _result(runner.job, record.seconds, tuple(runner.reused))


def finish(run: SlideRun) -> ProcessedSlide:
    """Drive a run to its end, from wherever it stands."""
    try:
        while True:
            next(run)
    except StopIteration as end:
        result: ProcessedSlide = end.value
        return result


def _check_folders(settings: FeatureSettings) -> None:
    folders = [layout.side_folder(name) for name in settings.more_encoders]
    if len(set(folders)) < len(folders):
        raise SettingsError(
            f"the bags of {' and '.join(settings.more_encoders)} would lie in one folder",
            hint="Run them one after the other, into projects of their own",
        )


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
        segmenter=h5.read_segmenter(path),
    )
