"""The tables of the report: metrics, predictions, groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..drawing.colours import css, segment_colours
from ..mil.scores import GroupScores, SlideScores
from .content import Cell, Column, Metric, ModelMetrics, PredictionRow, SlideSection, Table

#: Titles of metrics; others keep their own name.
METRIC_NAMES = {
    "auc": "AUC",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "average_precision": "Average precision",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "brier": "Brier score",
    "ece": "Calibration error",
    "loss": "Loss",
}

#: From this many µm² on, areas are given in mm².
_MM2_FROM = 1e5


def number(value: float, *, digits: int = 3, swatch: str = "") -> Cell:
    """Return a cell with a number of fixed decimals; a dash where it is not finite."""
    if not np.isfinite(value):
        return Cell("–", None, swatch=swatch)
    return Cell(f"{value:,.{digits}f}".replace(",", " "), float(value), swatch=swatch)


def metric_text(metric: Metric) -> str:
    """Write ``0.961 ± 0.013`` or ``0.961 (0.91–0.99)``; a dash where there is none."""
    if not np.isfinite(metric.mean):
        return "–"
    text = f"{metric.mean:.3f}"
    if metric.sd is not None:
        text += f" ± {metric.sd:.3f}"
    if metric.interval is not None:
        text += f" ({metric.interval[0]:.3f}–{metric.interval[1]:.3f})"
    return text


def metrics_table(models: Sequence[ModelMetrics]) -> Table:
    """Return one row per model and one column per metric, in the order of first appearance."""
    names = list(dict.fromkeys(name for model in models for name, _ in model.metrics))
    several = any(metric.count > 1 for model in models for _, metric in model.metrics)
    rows = []
    for model in models:
        known = dict(model.metrics)
        cells = [Cell(model.model, model.model)]
        for name in names:
            metric = known.get(name, Metric(mean=float("nan"), count=0))
            cells.append(Cell(metric_text(metric), metric.mean if np.isfinite(metric.mean) else None))
        if several:
            count = max((metric.count for metric in known.values()), default=0)
            cells.append(Cell(str(count), float(count)))
        rows.append(tuple(cells))
    columns = [Column("Model", numeric=False), *(Column(METRIC_NAMES.get(name, name)) for name in names)]
    columns += [Column("Runs", help="number of folds and repeats")] if several else []
    intervals = any(metric.interval is not None for model in models for _, metric in model.metrics)
    note = "Mean ± standard deviation over the runs." if several else ""
    note += " In brackets the 95% interval." if intervals else ""
    return Table("Metrics on unseen slides", tuple(columns), tuple(rows), note=note.strip())


def predictions_table(predictions: Sequence[PredictionRow], *, linked: frozenset[str] = frozenset()) -> Table:
    """Return one row per prediction; ids in ``linked`` (see ``anchor``) lead to the slide's section."""
    runs = any(row.run for row in predictions)
    positives = {row.positive for row in predictions}
    rows = []
    for row in predictions:
        right = None if row.label is None else row.predicted == row.label
        verdict = {None: Cell("–"), True: Cell("✓ right", "1", "right"), False: Cell("✗ wrong", "0", "wrong")}[
            right
        ]
        link = anchor(row.slide_id) if row.slide_id in linked else ""
        cells = [
            Cell(row.slide_id, row.slide_id, link=link),
            Cell("–" if row.label is None else row.label, row.label),
            number(row.probability),
            Cell(row.predicted, row.predicted),
            verdict,
        ]
        rows.append((*cells, Cell(row.run, row.run)) if runs else tuple(cells))
    of = f"of {next(iter(positives))}" if len(positives) == 1 and "" not in positives else ""
    columns = [
        Column("Slide", numeric=False),
        Column("Label", numeric=False),
        Column("Probability", unit=of),
        Column("Predicted", numeric=False),
        Column("Verdict", numeric=False),
        *([Column("Run", numeric=False)] if runs else []),
    ]
    known = [row for row in predictions if row.label is not None]
    correct = sum(row.predicted == row.label for row in known)
    note = f"{correct} of {len(known)} right." if known else ""
    return Table("Predictions for unseen slides", tuple(columns), tuple(rows), note=note)


def groups_table(section: SlideSection) -> Table | None:
    """Return one row per group, the most attended first (else the largest); None where there are no groups."""
    groups, scores = section.groups, None if section.scores is None else section.scores.groups
    if groups is None or len(groups) == 0:
        return None
    areas, unit = _areas(section)
    many = max(len(groups), int(groups.segment_of_group.max()) + 1)
    colours = segment_colours(many if section.segments is None else len(section.segments))
    columns = [
        Column("Group", help="number and colour of the segment in the image"),
        Column("Area", unit=unit),
        Column("Patches"),
    ]
    cells: list[list[Cell]] = []
    for k in range(len(groups)):
        segment = int(groups.segment_of_group[k])
        # Two digits always, so that pieces of a µm² or a mm² both stay readable.
        digits = 2 if unit == "mm²" else 0
        cells.append(
            [
                Cell(str(segment + 1), float(segment + 1), swatch=css(colours[segment])),
                number(areas[k], digits=digits),
                Cell(str(int(groups.sizes[k])), float(groups.sizes[k])),
            ]
        )
    order = np.argsort(-areas, kind="stable")
    if scores is not None and section.scores is not None:
        rank = scores.mean_probability[:, section.shown_class]
        if section.scores.attention is not None:
            rank = scores.attention_mass
        order = np.argsort(-rank, kind="stable")
        for column, values in _score_columns(section.scores, scores, section.shown_class):
            columns.append(column)
            for row, cell in zip(cells, values, strict=True):
                row.append(cell)
    if section.agreement is not None:
        columns.append(Column("Annotated", unit="share", help="share of the group inside the annotation"))
        for k, row in enumerate(cells):
            row.append(number(float(section.agreement[k]), digits=2))
    note = "Segments overlap and nest: a patch may count in several groups."
    return Table("Groups", tuple(columns), tuple(tuple(cells[k]) for k in order), note=note)


def _score_columns(slide: SlideScores, scores: GroupScores, shown: int) -> Iterator[tuple[Column, list[Cell]]]:
    """Yield what the model says of the groups; attention and evidence only where the model defines them."""
    name, without = slide.classes[shown], scores.probability_without[:, shown].astype(np.float64)
    if slide.attention is not None:
        meaning = "share of the attention on this group's patches and its own token"
        yield Column("Attention", unit="mass", help=meaning), [number(float(v)) for v in scores.attention_mass]
    mean = scores.mean_probability[:, shown]
    meaning = "mean of the patch probabilities"
    yield Column("Mean probability", unit=name, help=meaning), [number(float(v)) for v in mean]
    if slide.evidence is not None:
        meaning = "signed contribution to the logit"
        yield Column("Evidence", unit="logit", help=meaning), [_signed(float(v)) for v in scores.evidence[:, shown]]
    meaning = "prediction for the slide without this group"
    yield Column("Slide without it", unit=name, help=meaning), [number(float(v)) for v in without]
    if scores.probability_only is not None:
        alone, meaning = scores.probability_only[:, shown], "prediction for this group's patches alone"
        yield (
            Column("Group alone", unit=name, help=meaning),
            [number(float(v)) for v in alone],
        )
    change = without - float(slide.probabilities[shown])
    meaning = "change of the probability if the group is left out"
    yield Column("Change", help=meaning), [_signed(float(v)) for v in change]


def anchor(slide_id: str) -> str:
    """Return the name of a slide's section in the page: plain ASCII, and one for every id."""
    return "slide-" + slide_id.encode(errors="surrogatepass").hex()


def _signed(value: float) -> Cell:
    cell = number(abs(value))
    if cell.sort is None:
        return cell
    sign = "" if float(f"{value:.3f}") == 0 else "+" if value > 0 else "−"
    return Cell(sign + cell.text, value)


def _areas(section: SlideSection) -> tuple[np.ndarray, str]:
    """Areas of the groups and their unit: mm², µm², or pixels where the slide has no mpp."""
    groups = section.groups
    if groups is None:
        return np.zeros(0), ""
    if np.isfinite(groups.area_um2).all():
        return (groups.area_um2 / 1e6, "mm²") if groups.area_um2.max() >= _MM2_FROM else (groups.area_um2, "µm²")
    if section.segments is not None:
        return section.segments.frame.area_to_px0(groups.area_raster), "px of level 0"
    return groups.area_raster, "px of the segmentation image"
