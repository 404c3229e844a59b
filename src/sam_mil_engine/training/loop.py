"""Train one model on one split of a cohort, from bags and labels to a RUN folder."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from ..progress import ProgressCallback, notice, silent
from ..settings import TrainSettings
from ..tables.columns import FOUND_BY_NAME, Columns
from .data import Cohort, match_bags
from .folds import Split, check_split, from_column, holdout
from .labels import read_labels
from .patient_bags import join_patients, splits_for
from .plan import RunPlan, run_in_sequence
from .recipe import resolve, with_saved_recipe
from .run_files import TrainResult

_DEFAULTS = TrainSettings()


def train(
    bags_dir: str | Path,
    labels_csv: str | Path,
    out_dir: str | Path,
    *,
    settings: TrainSettings = _DEFAULTS,
    splits: str | Path | None = None,
    columns: Columns = FOUND_BY_NAME,
    progress: ProgressCallback = silent,
    resume: bool = False,
) -> TrainResult:
    """Train one model on one split and write a RUN folder (formats.md).

    Parameters
    ----------
    bags_dir
        Folder with ``SLIDE.h5`` files, or a project.
    labels_csv
        Columns slide_id, label, optional patient_id and split
        (:func:`~sam_mil_engine.training.labels.read_labels`).
    splits
        A ``splits.csv`` with one split. Without it, the column ``split`` of the labels is taken; without that,
        validation and test slides are drawn by the settings' fractions and seed.
    columns
        Which columns of the labels are meant, where their names do not say it.
    resume
        Resume the run that is in ``out_dir``; a finished one is only read.

    Raises
    ------
    DataError, BagError, SettingsError
        Before any training: labels, bags, splits or settings do not fit together.
    ProjectError
        If ``out_dir`` cannot be written or holds another run.
    Cancelled
        If ``progress`` asked to stop; the run can be resumed at the last full epoch.

    Examples
    --------
    Goes on from the slides of :mod:`sam_mil_engine`:

    >>> from pathlib import Path
    >>> import sam_mil_engine as sme
    >>> from sam_mil_engine.settings import ModelSettings, ProcessSettings, TileSettings, TrainSettings
    >>> settings = ProcessSettings(tiles=TileSettings(patch_size=128, mpp=0.5))
    >>> for path in sorted(Path("cohort/slides").glob("*.tiff")):
    ...     slide = sme.process_slide(path, "study", settings=settings)
    >>> two_epochs = TrainSettings(model=ModelSettings(name="sam-mil"), epochs=2, min_epochs=0, device="cpu")
    >>> result = sme.train("study/bags", "cohort/labels.csv", "study/runs/first", settings=two_epochs)
    >>> result.classes, len(result.history)
    (('normal', 'tumour'), 2)
    """
    out_dir = Path(out_dir)
    settings = resolve(with_saved_recipe(settings, out_dir) if resume else settings, progress=progress)
    labels = read_labels(labels_csv, columns=columns, classes=settings.classes, progress=progress)
    cohort = match_bags(labels, bags_dir, classes=settings.classes, progress=progress)
    if settings.bags == "patient":
        cohort = join_patients(cohort, progress=progress)
    if splits is not None and "split" in cohort.table:
        progress(notice("labels", "the column split is not used: the splits are given"))
    split = _one_split(cohort, splits, settings)
    run = RunPlan(out_dir=out_dir, cohort=cohort, splits=(split,), settings=settings)
    for _ in run_in_sequence(run.begin(resume=resume), progress):
        pass  # the job leaves its result in its folder
    return run.finish()


def _one_split(cohort: Cohort, splits: str | Path | None, settings: TrainSettings) -> Split:
    table = cohort.table
    if splits is not None:
        found = splits_for(splits, cohort)
        if len(found) != 1:
            raise DataError(
                f"the file holds {len(found)} splits, but training takes one",
                where=splits,
                hint="Use `sam-mil-engine cross-validate` for several, or keep one repeat and fold",
                window_hint="Keep one repeat and fold in the file",
            )
        return check_split(found[0], table)
    if "split" in table:
        return from_column(table, val_fraction=settings.val_fraction, seed=settings.seed)
    return holdout(
        table, val_fraction=settings.val_fraction, test_fraction=settings.test_fraction, seed=settings.seed
    )
