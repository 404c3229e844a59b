"""Several models on the same folds of a cohort (methods §5)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import layout
from ..errors import SettingsError
from ..progress import Progress, ProgressCallback, notice, silent
from ..settings import ModelSettings, ProtocolSettings, TrainSettings, protocol_named
from ..tables.cells import listing
from ..tables.columns import FOUND_BY_NAME, Columns
from .comparison import compare_runs, write_comparison
from .data import Cohort, match_bags
from .folds import Split, check_split, k_fold
from .labels import read_labels
from .patient_bags import join_patients, splits_for, with_patients
from .plan import FoldJob, Runner, RunPlan, run_in_sequence
from .recipe import resolve, with_saved_recipe
from .run_files import TrainResult

if TYPE_CHECKING:
    import pandas as pd

_DEFAULTS = TrainSettings()
_FOLDER = re.compile(r"[\w][\w.+-]*")


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """The results of :func:`cross_validate`.

    Attributes
    ----------
    out_dir
        The folder: of the run where there is one model, else of one run per model.
    runs
        Model -> its run.
    comparison
        What ``comparison.csv`` says (:func:`~.comparison.compare_runs`), every model against the first.
    """

    out_dir: Path
    runs: Mapping[str, TrainResult]
    comparison: pd.DataFrame


def cross_validate(
    bags_dir: str | Path,
    labels_csv: str | Path,
    out_dir: str | Path,
    *,
    models: Sequence[str] | Mapping[str, ModelSettings] = (),
    protocol: str | None = None,
    settings: TrainSettings = _DEFAULTS,
    folds: int | None = None,
    repeats: int | None = None,
    splits: str | Path | None = None,
    columns: Columns = FOUND_BY_NAME,
    runner: Runner = run_in_sequence,
    resume: bool = False,
    progress: ProgressCallback = silent,
) -> CrossValidation:
    """Train every model on every fold, and test it on the slides that the fold leaves out.

    All models have the same splits and share the bags in memory. One model writes a RUN folder (formats.md),
    several write one each into ``out_dir`` and ``comparison.csv`` next to them.

    Parameters
    ----------
    bags_dir, labels_csv
        As for :func:`~sam_mil_engine.train`.
    models
        Names, ``+groups`` after a name for group tokens; or any name -> settings, for variants of a model. None:
        the model of ``settings``.
    protocol
        ``c16`` (3 x 3 folds, patience 30, not before epoch 130), ``tcga`` (5 folds by patient, 20, 70), or None
        (5 folds).
    settings
        Of the training; what is not set explicitly is as the model's recipe or the protocol has it.
    folds, repeats
        Instead of the protocol's.
    splits
        Splits from elsewhere instead of drawn ones: a table, a file of CLAM, or a folder of them.
    columns
        Which columns of the labels are meant, where their names do not say it.
    runner
        Where the folds are trained: one after the other here, or for example
        :func:`~sam_mil_engine.cluster.folds.on_cluster`.
    resume
        Continue with what is in ``out_dir``: finished folds are reused, one that was stopped continues at its
        epoch.

    Raises
    ------
    DataError, BagError, SettingsError
        Before any training: labels, bags, splits or settings do not fit together.
    ProjectError
        If ``out_dir`` cannot be written or holds other runs.
    Cancelled
        If ``progress`` asked to stop.

    Examples
    --------
    Goes on from the slides of :mod:`sam_mil_engine`:

    >>> import sam_mil_engine as sme
    >>> from sam_mil_engine.settings import TrainSettings
    >>> result = sme.cross_validate(
    ...     "study/bags",
    ...     "cohort/labels.csv",
    ...     "study/runs/compared",
    ...     models=["mean", "abmil+groups"],
    ...     settings=TrainSettings(epochs=2, min_epochs=0, val_fraction=0.5, device="cpu"),
    ...     folds=2,
    ... )
    >>> list(result.runs), len(result.runs["mean"].folds)
    (['mean', 'abmil+groups'], 2)
    """
    out_dir, plan = Path(out_dir), _changed(protocol_named(protocol), folds, repeats)
    named = _models(models, settings.model)
    folders = {name: out_dir if len(named) == 1 else out_dir / name for name in named}
    by_name = {}
    for name, model in named.items():
        chosen = settings.model_copy(update={"model": model})
        chosen = with_saved_recipe(chosen, folders[name]) if resume else chosen
        by_name[name] = resolve(chosen, protocol=plan.training, progress=progress)
    labels = read_labels(labels_csv, columns=columns, classes=settings.classes, progress=progress)
    if plan.by_patient:
        labels = with_patients(labels)
    cohort = match_bags(labels, bags_dir, classes=settings.classes, progress=progress)
    if settings.bags == "patient":
        cohort = join_patients(cohort, progress=progress)
    if "split" in labels:
        progress(notice("labels", "the column split is not used: cross-validation has folds"))
    if splits is None:
        drawn = _draw(cohort.table, plan, settings)
    elif folds is None and repeats is None:
        drawn = _given(splits, cohort, progress)
    else:
        raise SettingsError("folds and repeats are those of the splits", hint="Leave one of the two out")
    plans = {
        name: RunPlan(out_dir=folders[name], cohort=cohort, splits=tuple(drawn), settings=chosen)
        for name, chosen in by_name.items()
    }
    _run([job for run in plans.values() for job in run.begin(resume=resume)], runner, progress)
    runs = {name: run.finish() for name, run in plans.items()}
    table = compare_runs(runs)
    if len(runs) > 1:
        write_comparison(out_dir / layout.COMPARISON, table)
    return CrossValidation(out_dir, runs, table)


def _run(jobs: Sequence[FoldJob], runner: Runner, progress: ProgressCallback) -> None:
    progress(Progress("folds", 0, len(jobs), unit="folds"))
    for done, job in enumerate(runner(jobs, progress), start=1):
        progress(Progress("folds", done, len(jobs), unit="folds", message=f"{job.name} is done"))


def _changed(plan: ProtocolSettings, folds: int | None, repeats: int | None) -> ProtocolSettings:
    changes = {name: value for name, value in (("folds", folds), ("repeats", repeats)) if value is not None}
    return ProtocolSettings.parse({**plan.model_dump(), **changes})


def _models(models: Sequence[str] | Mapping[str, ModelSettings], base: ModelSettings) -> dict[str, ModelSettings]:
    """Name of each run -> its model; several names are variants of ``base``."""
    if not models:
        return {base.name: base}
    if isinstance(models, Mapping):
        named = dict(models)
    else:
        twice = sorted({name for name in models if list(models).count(name) > 1})
        if twice:
            raise SettingsError(f"models are named twice: {listing(twice)}")
        named = {name: base.model_copy(update={"name": name}) for name in models}
    unfit = [name for name in named if not _FOLDER.fullmatch(name)]
    if unfit:
        raise SettingsError(
            f"runs cannot be called {listing(unfit)}", hint="Use letters, digits, dot, plus, minus and underscore"
        )
    return named


def _draw(table: pd.DataFrame, plan: ProtocolSettings, settings: TrainSettings) -> list[Split]:
    return k_fold(
        table,
        folds=plan.folds,
        repeats=plan.repeats,
        val_fraction=settings.val_fraction,
        seed=settings.seed,
    )


def _given(path: str | Path, cohort: Cohort, progress: ProgressCallback) -> list[Split]:
    found = [check_split(split, cohort.table) for split in splits_for(path, cohort)]
    used = {slide_id for split in found for part in (split.train, split.val, split.test) for slide_id in part}
    unused = [slide_id for slide_id in cohort.table["slide_id"] if slide_id not in used]
    if unused:
        message = f"{len(unused)} slides are in no split and are not used: {listing(unused)}"
        progress(notice("labels", message))
    return found
