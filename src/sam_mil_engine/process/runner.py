"""One slide from its lock to its last stage, resumable: stages done with the same settings are not repeated."""

from __future__ import annotations

import time
import warnings
from collections.abc import Collection, Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from .. import layout
from ..annotations.drawn_tissue import drawn_tissue, same_tissue
from ..bag import h5
from ..errors import SettingsError
from ..progress import Progress, ProgressCallback, silent
from ..provenance import versions
from ..settings import STAGES, FeatureSettings, ProcessSettings, key
from ..slide.entry import SlideEntry
from ..slide.first_read import require_readable
from ..slide.info import slide_sha
from ..slide.reader import open_slide
from .job import NEEDS, SlideJob, Tools, depends, require_encoders
from .project import Project, Record, slide_record
from .recorded import with_recorded_segments
from .results import ProcessedSlide
from .stages import OWN_STAGES, RUN, begin_reading, follow

#: The stages of the first half.
FIRST_HALF = ("tissue", "tiles")
SECOND_HALF = ("segments", "features", "groups")

#: Stops once, between the halves; returns the result.
SlideRun = Generator[None, None, ProcessedSlide]


def process_slide(
    slide: str | Path | SlideEntry,
    project: str | Path,
    *,
    settings: ProcessSettings | None = None,
    stages: Collection[str] = STAGES,
    tools: Tools | None = None,
    progress: ProgressCallback = silent,
) -> ProcessedSlide:
    """Run the stages on one slide; stages that were done before with the same settings are not repeated.

    Parameters
    ----------
    slide
        The slide file, or an entry of a slide table. The name and resolution that ``process.csv`` records of a file
        hold again.
    project
        The project folder; made if it does not exist.
    settings
        All settings of preprocessing; the defaults where None. A project that exists goes on with its segmenter
        and that one's settings where they set no other (:mod:`sam_mil_engine.process.recorded`).
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

    Examples
    --------
    Goes on from the slides of :mod:`sam_mil_engine`:

    >>> import sam_mil_engine as sme
    >>> from sam_mil_engine.settings import ProcessSettings, TileSettings
    >>> settings = ProcessSettings(tiles=TileSettings(patch_size=128, mpp=0.5))
    >>> slide = sme.process_slide("cohort/slides/synthetic-001.tiff", "study", settings=settings)
    >>> slide.bag_path.as_posix(), slide.bag.features.shape[1]
    ('study/bags/synthetic-001.h5', 1280)
    >>> sme.process_slide("cohort/slides/synthetic-001.tiff", "study", settings=settings).reused
    ('tissue', 'tiles', 'segments', 'features', 'groups')
    """
    tools = tools or Tools(with_recorded_segments(settings or ProcessSettings(), project))
    wanted, target = check_stages(stages), Project(project)
    (entry,) = target.entries([slide], settings=tools.settings)
    require_encoders(target, [entry], tools, stages=wanted)
    return finish(run_slide(entry, target, tools=tools, wanted=wanted, progress=progress))


def run_slide(
    entry: SlideEntry,
    project: Project,
    *,
    tools: Tools,
    wanted: Sequence[str],
    progress: ProgressCallback,
    last: bool = True,
    look: bool = True,
) -> SlideRun:
    """Run the wanted stages on one slide; ``last`` says that others do not follow.

    ``look`` has a child process read a little of the slide first: not where this process is one itself, or one has
    read the slide already.

    The first half opens the slide, finds tissue, makes the grid of patches and begins to read the first ones.
    The generator may be driven from different threads, one after the other. Closing it, or an error thrown into
    it, gives the slide back and is recorded in ``process.csv``.
    """
    _check_folders(tools.settings.features)
    project.save_settings(tools.settings, versions())
    tools = tools.for_slide(entry)
    with (
        project.lock(entry.slide_id),
        slide_record(project, entry, ends="done" if last else "running") as record,
        ExitStack() as ends,
    ):
        if look:
            require_readable(entry.path)
        slide = ends.enter_context(open_slide(entry.path))
        if entry.mpp is not None:
            slide.state_mpp(entry.mpp)
        own = project.drawn_tissue(entry.slide_id)
        file = entry.tissue or (own if own.is_file() else None)
        drawn = drawn_tissue(slide.info, entry.slide_id, tissue=file, settings=tools.settings)
        runner = StageRunner(
            SlideJob(
                slide=slide,
                slide_id=entry.slide_id,
                project=project,
                tools=tools,
                progress=progress,
                drawn=drawn,
            ),
            wanted,
            record,
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


def check_stages(stages: Collection[str]) -> list[str]:
    """Return the stages in the order in which they run; raises :class:`SettingsError` on unknown ones or none."""
    unknown = sorted(set(stages) - set(STAGES))
    if unknown or not stages:
        raise SettingsError(
            f"unknown stages: {', '.join(unknown)}" if unknown else "no stage is given",
            hint=f"The stages are {', '.join(STAGES)}",
        )
    return [stage for stage in STAGES if stage in stages]


class StageRunner:
    """Runs the stages of one slide, all of them or some at a time.

    Parameters
    ----------
    job
        The slide; may be replaced between two calls of :meth:`run`.
    wanted
        The stages that are asked for, in their order.
    record
        Takes the seconds of the stages that ran.
    """

    def __init__(self, job: SlideJob, wanted: Sequence[str], record: Record):
        self.job = job
        self.wanted = wanted
        self.reused: list[str] = []
        self._record = record
        self._fingerprint = slide_sha(job.slide.info)
        self._superseded: set[Path] = set()

    def run(self, part: Collection[str]) -> None:
        """Run those of the wanted stages that are in ``part`` and not done."""
        for number, stage in enumerate(self.wanted):
            if stage in part:
                self.job.progress(Progress("process", number, len(self.wanted), unit="stages", message=stage))
                self._run_stage(stage)
        if self.wanted[-1] in part:
            self.job.progress(
                Progress("process", len(self.wanted), len(self.wanted), unit="stages", message="done")
            )

    def _run_stage(self, stage: str) -> None:
        start = time.perf_counter()
        jobs = self.job.of_every_encoder() if stage in OWN_STAGES else [self.job]
        ran = [self._bring_up(job, stage) for job in jobs]
        if any(ran):
            self._record.seconds[stage] = time.perf_counter() - start
        else:
            self.reused.append(stage)

    def _bring_up(self, job: SlideJob, stage: str) -> bool:
        """Run the stage for one bag if it is not done there; return whether it ran."""
        if job.side is not None:
            follow(job, replacing=lambda stale: self._prepare(job, stale))
        done = h5.read_stages(job.bag)
        missing = [name for name in NEEDS[stage] if name not in done]
        if missing:
            raise SettingsError(
                f"the stage {stage!r} needs {' and '.join(missing)} of {job.slide_id!r} first",
                where=job.bag,
                hint=f"Add {','.join(missing)} to --stages",
                window_hint="Press Segment/Classify in the Analyze dock: it runs the missing stages",
            )
        stage_key = job.tools.stage_key(stage, self._fingerprint, done, encoder=job.encoder, drawn=job.drawn)
        if done.get(stage) == stage_key or (stage == "tissue" and stage in done and self._is_as_drawn(job)):
            return False
        self._prepare(job, [name for name in STAGES if name in done and depends(name, stage)])
        RUN[stage](job, stage_key)
        return True

    def _is_as_drawn(self, job: SlideJob) -> bool:
        """Whether the bag holds the tissue that was drawn, however it came there."""
        drawn, held = job.drawn.tissue, h5.read_tissue(job.bag)
        same_slide = h5.read_attributes(job.bag).get("slide_sha") == self._fingerprint
        if drawn is None or held is None or not same_slide or job.tools.settings.region is not None:
            return False
        return same_tissue(job.drawn.cut(drawn), held)

    def _prepare(self, job: SlideJob, stale: Collection[str]) -> None:
        """Write the facts of the slide and drop what the next stage makes invalid, where that changes anything."""
        if stale and job.bag not in self._superseded:
            job.project.supersede(job.slide_id, job.side)
            self._superseded.add(job.bag)
        info = job.slide.info
        facts = {
            "slide_id": job.slide_id,
            "slide_sha": self._fingerprint,
            **h5.slide_facts(info),
            "mpp": info.mpp,
            "objective_power": info.objective_power,
            "settings_key": key(job.tools.settings),
        }
        known = h5.read_attributes(job.bag) if job.bag.exists() else {}
        other_file = known.get("slide_path") != facts["slide_path"] or known.get("mpp", info.mpp) == info.mpp
        if stale and known.get("slide_sha", self._fingerprint) != self._fingerprint and other_file:
            warnings.warn(
                f"{job.slide_id}: the project held results of a different slide with this name"
                f" ({known.get('slide_path')}); they were moved to superseded/",
                stacklevel=2,
            )
        if stale or any(known.get(name) != value for name, value in facts.items() if value is not None):
            with h5.edit_bag(job.bag, drop=stale) as file:
                h5.put_attributes(file, facts)


def _check_folders(settings: FeatureSettings) -> None:
    folders = [layout.side_folder(name) for name in settings.more_encoders]
    if len(set(folders)) < len(folders):
        raise SettingsError(
            f"the bags of {' and '.join(settings.more_encoders)} would be in one folder",
            hint="Run them one after the other, into separate projects",
        )


def _result(job: SlideJob, seconds: dict[str, float], reused: tuple[str, ...]) -> ProcessedSlide:
    facts = ProcessedSlide(
        slide_id=job.slide_id,
        bag_path=job.bag,
        info=job.slide.info,
        seconds=seconds,
        reused=reused,
        segmenter=h5.read_segmenter(job.bag),
    )
    slide = facts.with_arrays()
    grid, groups = slide.grid, None if slide.bag is None else slide.bag.groups
    return replace(
        slide,
        tiles=None if grid is None else len(grid),
        groups=None if groups is None else len(groups),
    )
