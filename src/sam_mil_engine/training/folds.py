"""Splits of a cohort into training, validation and test slides: drawn and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import layout
from ..errors import DataError
from ..tables.cells import listing

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """The slides of one training run. ``test`` may be empty; the three parts never overlap."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...] = ()
    repeat: int = 0
    fold: int = 0

    @property
    def name(self) -> str:
        """Name of the split's folder: ``fold-REPEAT-FOLD``."""
        return layout.fold_folder(self.repeat, self.fold)


def holdout(table: pd.DataFrame, *, val_fraction: float, test_fraction: float, seed: int) -> Split:
    """Draw validation and test slides, stratified by label; a patient's slides stay together.

    Parameters
    ----------
    table
        ``slide_id``, ``label`` and, where known, ``patient_id``.
    val_fraction, test_fraction
        Shares of all patients (of all slides where no patient is named).
    """
    if val_fraction + test_fraction >= 1:
        raise DataError("no slide is left for training", hint="Lower val_fraction or test_fraction")
    rest, test = _draw(table, test_fraction, seed)
    train, val = _draw(rest, val_fraction / (1 - test_fraction), seed)
    return check_split(Split(_ids(train), _ids(val), _ids(test)), table)


def from_column(table: pd.DataFrame, *, val_fraction: float, seed: int) -> Split:
    """Take the parts that the column ``split`` names; validation slides are drawn from training if it has none."""
    train, val, test = (table[table["split"] == part] for part in PARTS)
    if val.empty and not train.empty:
        train, val = _draw(train, val_fraction, seed)
    return check_split(Split(_ids(train), _ids(val), _ids(test)), table)


def k_fold(table: pd.DataFrame, *, folds: int, repeats: int, val_fraction: float, seed: int) -> list[Split]:
    """Every slide is tested once per repeat; validation is drawn from the rest; stratified, patients together."""
    from sklearn.model_selection import StratifiedKFold

    patients = _patients(table)
    splits = []
    for repeat in range(repeats):
        folder = StratifiedKFold(folds, shuffle=True, random_state=seed + repeat)
        try:
            parts = list(folder.split(patients.index, patients))
        except ValueError as error:
            raise DataError(f"{folds} folds cannot be made ({error})", hint="Use fewer folds") from error
        for fold, (_, test) in enumerate(parts):
            held_out = _group_column(table).isin(patients.index[test])
            train, val = _draw(table[~held_out], val_fraction, seed + repeat)
            split = Split(_ids(train), _ids(val), _ids(table[held_out]), repeat=repeat, fold=fold)
            splits.append(check_split(split, table))
    return splits


def check_split(split: Split, table: pd.DataFrame) -> Split:
    """Return the split itself if it can be trained on.

    Raises
    ------
    DataError
        If slides are unknown or in two parts, a part lacks a class, or a patient is on both sides.
    """
    parts = {name: getattr(split, name) for name in PARTS}
    slides = [slide_id for part in parts.values() for slide_id in part]
    unknown = sorted(set(slides) - set(table["slide_id"]))
    if unknown:
        raise DataError(f"the splits name slides without label or bag: {listing(unknown)}", where=split.name)
    twice = sorted({slide_id for slide_id in slides if slides.count(slide_id) > 1})
    if twice:
        raise DataError(f"slides are in two parts: {listing(twice)}", where=split.name)
    label = dict(zip(table["slide_id"], table["label"], strict=True))
    classes = set(table["label"])
    for name, part in parts.items():
        absent = sorted(classes - {label[slide_id] for slide_id in part})
        if absent and (part or name != "test"):
            raise DataError(
                f"the {name} part ({len(part)} slides) has no slide of class {listing(absent)}",
                where=split.name,
                hint="Add slides of this class, change the split, or make this part larger",
            )
    patient = dict(zip(table["slide_id"], _group_column(table), strict=True))
    sides = {name: {patient[slide_id] for slide_id in part} for name, part in parts.items()}
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        both = sorted(sides[first] & sides[second])
        if both:
            raise DataError(
                f"patients are in {first} and in {second}: {listing(both)}",
                where=split.name,
                hint="All slides of a patient must be in one part",
            )
    return split


def _group_column(table: pd.DataFrame) -> pd.Series[str]:
    return table["patient_id"] if "patient_id" in table else table["slide_id"]


def _patients(table: pd.DataFrame) -> pd.Series[str]:
    """Label of every patient: the most frequent one of its slides, the later in order where two are equal."""
    return table.groupby(_group_column(table), sort=True)["label"].agg(lambda labels: labels.mode().iloc[-1])


def _draw(table: pd.DataFrame, fraction: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide the table into (rest, drawn), stratified by patient."""
    from sklearn.model_selection import train_test_split

    patients = _patients(table)
    try:
        _, drawn = train_test_split(
            np.asarray(patients.index), test_size=fraction, stratify=patients, random_state=seed
        )
    except ValueError as error:
        counts = ", ".join(f"{name} {count}" for name, count in patients.value_counts(sort=False).items())
        raise DataError(
            f"{len(patients)} {'patients' if 'patient_id' in table else 'slides'} are too few to draw"
            f" {fraction:.0%} of every class ({counts})",
            hint="Add slides, change the fractions, or give the split yourself",
        ) from error
    chosen = _group_column(table).isin(drawn)
    return table[~chosen], table[chosen]


def _ids(table: pd.DataFrame) -> tuple[str, ...]:
    return tuple(table["slide_id"])
