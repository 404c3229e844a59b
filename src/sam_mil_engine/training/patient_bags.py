"""A cohort whose bags are patients: all slides of a patient are one bag (methods §5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from ..progress import ProgressCallback, notice, silent
from ..tables.cells import listing
from .data import Cohort
from .folds import Split
from .patient_level import labels_of_patients
from .split_files import match_known_ids, read_splits

if TYPE_CHECKING:
    import pandas as pd

#: The patient in the name of a slide of The Cancer Genome Atlas: project, site and participant.
_TCGA = re.compile(r"TCGA-\w{2}-\w{4}")


def with_patients(labels: pd.DataFrame) -> pd.DataFrame:
    """Return the labels with a patient for every slide, from the names of TCGA's slides if need be.

    Raises
    ------
    DataError
        If the patients are not known.
    """
    if "patient_id" in labels:
        return labels
    found = {name: match[0] for name in labels["slide_id"] if (match := _TCGA.match(name))}
    unknown = [name for name in labels["slide_id"] if name not in found]
    if unknown:
        raise DataError(
            f"the patient of {len(unknown)} slides is not known: {listing(unknown)}",
            hint="Add the column patient_id to the labels, say which column it is, or choose another protocol",
        )
    return labels.assign(patient_id=labels["slide_id"].map(found))


def join_patients(cohort: Cohort, *, progress: ProgressCallback = silent) -> Cohort:
    """Return the cohort with one row and one bag per patient, whose ``slide_id`` is the patient.

    A patient's class is that of :func:`~.patient_level.labels_of_patients`.

    Raises
    ------
    DataError
        If the patients are not known, or the slides of one are of several classes or in several parts.
    """
    import pandas as pd

    table = with_patients(cohort.table)
    parts = {str(patient): tuple(slides) for patient, slides in table.groupby("patient_id")["slide_id"]}
    labels = labels_of_patients(table, cohort.classes)
    columns = {"slide_id": list(parts), "patient_id": list(parts), "label": [labels[name] for name in parts]}
    if "split" in table:
        columns["split"] = _parts_of_patients(table)
    progress(notice("labels", f"{len(table)} slides are joined to {len(parts)} bags, one per patient"))
    return replace(cohort, table=pd.DataFrame(columns), parts=parts)


def _parts_of_patients(table: pd.DataFrame) -> list[str]:
    by_patient = table.groupby("patient_id")["split"]
    several = by_patient.nunique(dropna=False)
    both = [str(patient) for patient in several.index[several > 1]]
    if both:
        raise DataError(
            f"patients are in several parts: {listing(both)}",
            hint="All slides of a patient must be in one part",
        )
    return list(by_patient.first())


def splits_for(path: str | Path, cohort: Cohort) -> list[Split]:
    """Read splits and name their slides as the cohort names its bags: by slide, or by the slide's patient."""
    bag_of = {slide: bag for bag, slides in cohort.parts.items() for slide in slides}
    known = dict.fromkeys([*cohort.paths, *cohort.table["slide_id"]])

    def bags(part: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(bag_of.get(name, name) for name in part)) if bag_of else tuple(part)

    return [
        replace(split, train=bags(split.train), val=bags(split.val), test=bags(split.test))
        for split in match_known_ids(read_splits(path), known)
    ]
