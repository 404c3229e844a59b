"""What is to be trained: runs, each a model on several splits, cut into jobs that may run anywhere.

A job that is done leaves ``done.json`` in its fold's folder, so that a run that is killed goes on with the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import layout
from ..devices import pick_device
from ..files import atomic_write
from ..progress import ProgressCallback, silent
from ..settings import TrainSettings
from .calibration import find_negative
from .data import Cohort, LoadedBags, load_bags
from .epoch_log import check_tensorboard
from .folds import Split
from .one_split import CHECKPOINT, train_split, with_patients_of
from .run_files import TrainResult, begin_run, read_run, write_results

_DONE = "done.json"


@dataclass(frozen=True, slots=True)
class FoldJob:
    """One model on one split: all that a worker needs to know, small enough to travel."""

    run: Path
    cohort: Cohort
    split: Split
    settings: TrainSettings

    @property
    def folder(self) -> Path:
        """Where the model of this split goes."""
        return self.run / self.split.name

    @property
    def is_done(self) -> bool:
        """Whether its result is there."""
        return (self.folder / _DONE).exists()

    @property
    def name(self) -> str:
        """Name for people."""
        return f"{self.run.name} {self.split.name}"

    def train(self, bags: LoadedBags, progress: ProgressCallback = silent) -> None:
        """Train, go on from a checkpoint if one is there, and leave the result."""
        result = train_split(
            bags, self.split, self.cohort.classes, folder=self.folder, settings=self.settings, progress=progress
        )
        content = {
            "figures": result.metrics,
            "history": result.history.to_dict("records"),
            "predictions": result.predictions.to_dict("records"),
        }
        atomic_write(self.folder / _DONE, json.dumps(content))

    def result(self) -> dict[str, Any]:
        """Read what :meth:`train` left: metrics, and rows of history and predictions."""
        return dict(json.loads((self.folder / _DONE).read_text(encoding="utf-8")))


#: Trains jobs somewhere and yields each when it has ended.
Runner = Callable[[Sequence[FoldJob], ProgressCallback], Iterator[FoldJob]]


def run_in_sequence(jobs: Sequence[FoldJob], progress: ProgressCallback = silent) -> Iterator[FoldJob]:
    """Train the jobs one after the other in this process; all share the bags, which are read once."""
    if jobs:
        bags = bags_for(jobs[0], progress=progress)
    for job in jobs:
        job.train(bags, progress)
        yield job


def bags_for(job: FoldJob, *, share: float = 1.0, progress: ProgressCallback = silent) -> LoadedBags:
    """Load the bags of a job's cohort, using ``share`` of the budget for keeping them."""
    settings = job.settings
    return load_bags(
        job.cohort,
        device=pick_device(settings.device),
        dtype=settings.cache_dtype,
        budget=settings.budget * share,
        progress=progress,
    )


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One model on several splits, and the RUN folder that it becomes; ``settings`` are resolved."""

    out_dir: Path
    cohort: Cohort
    splits: tuple[Split, ...]
    settings: TrainSettings

    @property
    def jobs(self) -> list[FoldJob]:
        """Every split as a job."""
        return [
            FoldJob(run=self.out_dir, cohort=self.cohort, split=split, settings=self.settings)
            for split in self.splits
        ]

    def begin(self, *, resume: bool) -> list[FoldJob]:
        """Write settings and splits into the folder; return what is left to be trained.

        Raises
        ------
        ProjectError
            If the folder holds a run and ``resume`` is off, or the run there has other settings or splits.
        SettingsError
            If TensorBoard is asked for and not installed, or the negative class is not a class.
        """
        find_negative(self.cohort.classes, self.settings.negative_class)
        if self.settings.tensorboard:
            check_tensorboard()
        finished = begin_run(self.out_dir, self.settings, self.splits, classes=self.cohort.classes, resume=resume)
        return [] if finished else [job for job in self.jobs if not job.is_done]

    def finish(self) -> TrainResult:
        """Write the results of all jobs into the run, remove what only an unfinished one needs, and read it."""
        import pandas as pd

        if not (self.out_dir / layout.METRICS).exists():
            results = [job.result() for job in self.jobs]
            write_results(
                self.out_dir,
                classes=self.cohort.classes,
                folds=[result["figures"] for result in results],
                history=pd.DataFrame([row for result in results for row in result["history"]]),
                predictions=with_patients_of(
                    self.cohort.table, pd.DataFrame([row for result in results for row in result["predictions"]])
                ),
            )
        for job in self.jobs:
            for left_over in [*job.folder.glob(f"*{CHECKPOINT}*"), *job.folder.glob(f"*{_DONE}*")]:
                left_over.unlink()  # with what a kill in the middle of writing it left
        return read_run(self.out_dir)
