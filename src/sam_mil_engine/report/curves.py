"""The charts of what predictions are worth: ROC, precision and recall, calibration, lesions, patch scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import layout
from ..annotations.localisation import FALSE_POSITIVES, sensitivity_name
from ..training.metrics import auc, average_precision
from .charts import Chart, Series
from .localisation import read_metrics

if TYPE_CHECKING:
    from ..mil.patch_calibration import PatchCalibration
    from ..prediction.patches import SlidePatches
    from ..training.run_files import TrainResult
    from ..training.score_curves import ScoreCurve

_UNIT, _ROOM = (0.0, 1.0), (0.0, 1.02)
_DIAGONAL = ((0.0, 1.0), (0.0, 1.0))
#: Bins of a histogram of patch scores.
_BINS = 60


def score_charts(runs: Mapping[str, TrainResult]) -> tuple[Chart, ...]:
    """Draw ROC, precision-recall and calibration curves of runs, all predictions of a run together.

    One curve per run for two classes; one per class, against all others, for one run of more classes.
    """
    from ..training.score_curves import score_curves
    from ..training.summary import scored_of

    roc: list[Series] = []
    precision: list[Series] = []
    calibration: list[Series] = []
    by_patient = False
    for name, run in runs.items():
        scored = scored_of(run.predictions, run.classes)
        by_patient |= scored.by_patient
        columns = [1] if len(run.classes) == 2 else range(len(run.classes))
        for column in columns:
            truth, p = scored.labels == column, scored.probabilities[:, column]
            curves = score_curves(truth, p, list(scored.units))
            if curves is None:
                continue
            title = " ".join(([name] if len(runs) > 1 else []) + [run.classes[column]])
            roc.append(_series(f"{title}, AUC {auc(truth, p):.3f}", curves.roc))
            area = average_precision(truth, p)
            precision.append(_series(f"{title}, average precision {area:.3f}", curves.precision_recall))
            calibration.append(_series(title, curves.calibration, points=True))
    if not roc:
        return ()
    units = "patients" if by_patient else "slides"
    note = f"All predictions together; bands are 95% intervals of a bootstrap over {units}."
    bars = f"Slides in tenths of the probability; bars are 95% intervals of a bootstrap over {units}."
    return (
        Chart(
            "ROC",
            tuple(roc),
            x_label="1 − specificity",
            y_label="sensitivity",
            y_limits=_ROOM,
            x_limits=_UNIT,
            guide=_DIAGONAL,
            note=note,
        ),
        Chart(
            "Precision and recall",
            tuple(precision),
            x_label="recall",
            y_label="precision",
            y_limits=_ROOM,
            x_limits=_UNIT,
            note=note,
        ),
        Chart(
            "Calibration",
            tuple(calibration),
            x_label="predicted probability",
            y_label="share of slides",
            y_limits=_ROOM,
            x_limits=_UNIT,
            guide=_DIAGONAL,
            note=bars,
        ),
    )


def _series(name: str, curve: ScoreCurve, *, points: bool = False) -> Series:
    return Series(name, ((curve.x, curve.y),), band=(curve.low, curve.high), points=points)


def froc_chart(runs: Mapping[str, Path]) -> Chart | None:
    """Draw the sensitivity for lesions over false positives that ``localisation.json`` of runs holds; else None."""
    series = []
    for name, folder in runs.items():
        file = folder / layout.LOCALISATION
        metrics = read_metrics(file) if file.is_file() else {}
        rows = [metrics.get(sensitivity_name(rate), {}) for rate in FALSE_POSITIVES]
        value, low, high = (
            np.array([np.nan if row.get(part) is None else row[part] for row in rows], dtype=np.float64)
            for part in ("value", "low", "high")
        )
        if np.isfinite(value).any():
            mean = metrics.get("FROC score", {}).get("value")
            title = name if mean is None else f"{name}, score {mean:.3f}"
            series.append(Series(title, ((np.array(FALSE_POSITIVES), value),), band=(low, high), points=True))
    if not series:
        return None
    return Chart(
        "FROC",
        tuple(series),
        x_label="false positives per slide without tumour",
        y_label="sensitivity for lesions",
        y_limits=_ROOM,
        x_limits=(0.22, 9.0),
        x_ticks=FALSE_POSITIVES,
        note="As CAMELYON16 defines it; bars are 95% intervals of a bootstrap over slides or patients.",
    )


def patch_score_chart(
    patches: Sequence[SlidePatches], calibration: PatchCalibration | None, *, negative: str, threshold: float
) -> Chart | None:
    """Draw how the patch scores of negative and of other slides lie, and the operating point between them.

    Slides weigh the same. None where either kind of slide is missing.

    Parameters
    ----------
    negative
        Name of the negative class.
    threshold
        What patches are marked by where the model is not calibrated.
    """
    kinds = {
        f"slides of {negative}": [one.score for one in patches if one.label == negative],
        "other slides": [one.score for one in patches if one.label != negative],
    }
    if not all(kinds.values()):
        return None
    together = np.concatenate([scores for found in kinds.values() for scores in found])
    low, high = (0.0, 1.0) if calibration is None else np.quantile(together, [0.0005, 0.9995]).tolist()
    if calibration is not None:
        high = max(high, calibration.operating_point + 0.05 * (high - low))
    edges = np.linspace(low, max(high, low + 1e-6), _BINS + 1)
    place, shares, series = np.repeat(edges, 2)[1:-1], {}, []
    mark = threshold if calibration is None else calibration.operating_point
    for name, found in kinds.items():
        density = np.mean([np.histogram(np.clip(own, low, high), edges)[0] / len(own) for own in found], axis=0)
        shares[name] = float(np.mean([(own >= mark).mean() for own in found]))
        title = f"{name} ({len(found)}), {shares[name]:.1%} of patches marked"
        series.append(Series(title, ((place, np.repeat(density, 2)),), filled=True))
    what = "raw probability" if calibration is None else "log odds of tumour in a positive slide"
    label = "threshold (raw)" if calibration is None else "operating point"
    return Chart(
        "Patch scores",
        tuple(series),
        x_label=what,
        y_label="share of patches",
        x_limits=(float(edges[0]), float(edges[-1])),
        mark=(float(mark), label),
        note="Every slide weighs the same; what lies beyond the ends is counted at them.",
    )
