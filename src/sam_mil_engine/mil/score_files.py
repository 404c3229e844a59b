"""The files of one slide's scores: a table of patches, a table of groups, and a description. Needs no torch.

::

    SLIDE.json          classes, probabilities, predicted, logits, bias, threshold, domain_distance, calibrated,
                        calibration (null: p_CLASS of patches are raw), attrs
    SLIDE.patches.csv   x, y, attention, evidence_CLASS, score (where calibrated), p_CLASS: one row per patch
    SLIDE.groups.csv    group, attention_mass, token_attention, p_CLASS, evidence_CLASS, token_evidence_CLASS,
                        p_CLASS_without, p_CLASS_only: one row per group; only where the slide has groups
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from ..files import atomic_write
from ..tables.reading import read_frame
from ..tables.writing import csv_frame
from .patch_calibration import CalibratedPatches
from .scores import FloatVector, GroupScores, SlideScores

if TYPE_CHECKING:
    import pandas as pd


def patch_table(scores: SlideScores) -> pd.DataFrame:
    """One row per patch; columns that the model does not define are left out."""
    import pandas as pd

    columns: dict[str, Any] = {"x": scores.coords_px0[:, 0], "y": scores.coords_px0[:, 1]}
    if scores.attention is not None:
        columns["attention"] = scores.attention
    if scores.evidence is not None:
        columns.update(_by_class("evidence_{}", scores.classes, scores.evidence))
    if scores.patch_score is not None:
        columns["score"] = scores.patch_score
    columns.update(_by_class("p_{}", scores.classes, scores.patch_probability))
    return pd.DataFrame(columns)


def group_table(scores: SlideScores) -> pd.DataFrame | None:
    """One row per group, or None where the slide has no groups."""
    import pandas as pd

    groups, classes = scores.groups, scores.classes
    if groups is None:
        return None
    only = groups.probability_only
    return pd.DataFrame(
        {
            "group": np.arange(len(groups.attention_mass)),
            "attention_mass": groups.attention_mass,
            "token_attention": groups.token_attention,
            **_by_class("p_{}", classes, groups.mean_probability),
            **_by_class("evidence_{}", classes, groups.evidence),
            **_by_class("token_evidence_{}", classes, groups.token_evidence),
            **_by_class("p_{}_without", classes, groups.probability_without),
            **({} if only is None else _by_class("p_{}_only", classes, only)),
        }
    )


def save_scores(scores: SlideScores, folder: str | Path) -> Path:
    """Write the files of one slide into ``folder``; return the path of the description, which is written last.

    Raises
    ------
    DataError
        If the slide's name cannot be a file name.
    ProjectError
        If the folder cannot be written.
    """
    folder, name = Path(folder), scores.slide_id
    if name in {"", ".", ".."} or Path(name).name != name or "\\" in name:
        raise DataError(f"the slide_id {name!r} is not a valid file name", hint="Rename the slide in its bag")
    atomic_write(folder / f"{name}.patches.csv", csv_frame(patch_table(scores)))
    groups = group_table(scores)
    if groups is not None:
        atomic_write(folder / f"{name}.groups.csv", csv_frame(groups))
    description = {
        "slide_id": name,
        "classes": scores.classes,
        "probabilities": scores.probabilities.tolist(),
        "predicted": scores.predicted,
        "threshold": scores.threshold,
        "domain_distance": scores.domain_distance,
        "calibrated": scores.calibrated,
        "calibration": None if scores.calibration is None else asdict(scores.calibration),
        "logits": scores.logits.tolist(),
        "bias": scores.bias.tolist(),
        "n_groups": None if groups is None else len(groups),
        "attrs": dict(scores.attrs),
    }
    file = folder / f"{name}.json"
    atomic_write(file, json.dumps(description, indent=2, ensure_ascii=False) + "\n")
    return file


def read_scores(file: str | Path) -> SlideScores:
    """Read what :func:`save_scores` wrote, from the path of the description (``SLIDE.json``).

    Raises
    ------
    DataError
        If a file is missing or damaged.
    """
    file = Path(file)
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        name, classes = str(description["slide_id"]), tuple(description["classes"])
        patches = read_frame(file.with_name(f"{name}.patches.csv"))
        groups, calibration = None, description.get("calibration")
        if description["n_groups"] is not None:
            groups = _group_scores(read_frame(file.with_name(f"{name}.groups.csv")), classes)
        return SlideScores(
            slide_id=name,
            classes=classes,
            coords_px0=patches[["x", "y"]].to_numpy(dtype=np.int32),
            probabilities=np.asarray(description["probabilities"], dtype=np.float32),
            attention=_vector(patches, "attention") if "attention" in patches else None,
            evidence=_matrix(patches, "evidence_{}", classes) if f"evidence_{classes[0]}" in patches else None,
            patch_probability=_matrix(patches, "p_{}", classes),
            logits=np.asarray(description["logits"], dtype=np.float32),
            bias=np.asarray(description["bias"], dtype=np.float32),
            groups=groups,
            threshold=float(description["threshold"]),
            domain_distance=description.get("domain_distance"),
            patch_score=_vector(patches, "score") if "score" in patches else None,
            calibration=None if calibration is None else _calibration(calibration),
            attrs=description["attrs"],
        )
    except DataError as error:
        raise DataError(
            f"not readable as scores ({error.what})", where=error.where, hint="Predict the slide again"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}" if str(error) else type(error).__name__
        raise DataError(f"not readable as scores ({reason})", where=file, hint="Predict the slide again") from error


def _calibration(values: Mapping[str, Any]) -> CalibratedPatches:
    lists = {name: tuple(values[name]) for name in ("thresholds", "shares")}
    return CalibratedPatches(**{**values, **lists})


def _group_scores(table: pd.DataFrame, classes: tuple[str, ...]) -> GroupScores:
    return GroupScores(
        attention_mass=_vector(table, "attention_mass"),
        mean_probability=_matrix(table, "p_{}", classes),
        evidence=_matrix(table, "evidence_{}", classes),
        token_attention=_vector(table, "token_attention"),
        token_evidence=_matrix(table, "token_evidence_{}", classes),
        probability_without=_matrix(table, "p_{}_without", classes),
        probability_only=_matrix(table, "p_{}_only", classes) if f"p_{classes[0]}_only" in table else None,
    )


def _by_class(pattern: str, classes: tuple[str, ...], values: FloatVector) -> dict[str, FloatVector]:
    return {pattern.format(name): values[:, number] for number, name in enumerate(classes)}


def _vector(table: pd.DataFrame, name: str) -> FloatVector:
    return table[name].to_numpy(dtype=np.float32)


def _matrix(table: pd.DataFrame, pattern: str, classes: tuple[str, ...]) -> FloatVector:
    return table[[pattern.format(name) for name in classes]].to_numpy(dtype=np.float32)
