"""Which stages of a slide run: what was done with the same settings is kept, what it makes invalid is dropped."""

from __future__ import annotations

import time
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

from ..bag import h5
from ..errors import SettingsError
from ..progress import Progress
from ..settings import STAGES, key
from .project import slide_sha
from .recording import Record
from .side_bags import OWN_STAGES, follow
from .slide_job import NEEDS, SlideJob, depends
from .stages import RUN


def check_stages(stages: Collection[str]) -> list[str]:
    """Return the stages in the order in which they run; raises :class:`SettingsError` on unknown ones or none."""
    unknown = sorted(set(stages) - set(STAGES))
    if unknown or not stages:
        raise SettingsError(
            f"unknown stages: {', '.join(unknown)}" if unknown else "no stage is asked for",
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
            )
        stage_key = job.tools.stage_key(stage, self._fingerprint, done, encoder=job.encoder)
        if done.get(stage) == stage_key:
            return False
        self._prepare(job, [name for name in STAGES if name in done and depends(name, stage)])
        RUN[stage](job, stage_key)
        return True

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
        if stale and known.get("slide_sha", self._fingerprint) != self._fingerprint:
            warnings.warn(
                f"{job.slide_id}: the project held results of another slide of this name"
                f" ({known.get('slide_path')}); they are kept under superseded/",
                stacklevel=2,
            )
        if stale or any(known.get(name) != value for name, value in facts.items() if value is not None):
            with h5.edit_bag(job.bag, drop=stale) as file:
                h5.put_attributes(file, facts)
