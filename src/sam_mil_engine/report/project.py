"""Find what a report says in a folder: a project, a run (or several), or what ``predict`` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import layout
from ..annotations.model import Annotation, by_class
from ..annotations.reading import read_annotations
from ..bag.h5 import read_bag
from ..bag.names import find_existing
from ..bag.native import bags_in
from ..errors import BagError, DataError
from ..mil.score_files import read_scores
from ..mil.scores import SlideScores
from ..progress import Progress, ProgressCallback, silent
from .annotated import with_annotations
from .content import PredictionRow, ReportContent, SlideSection
from .curves import froc_chart, score_charts
from .localisation import localisation_table
from .patches import PatchesOfRun, patches_of_run, patches_of_scores
from .process_list import process_table, read_process_list
from .quality import quality_items
from .runs import (
    bags_are_patients,
    compare_charts,
    differences_table,
    flat,
    make_charts,
    metrics_of,
    model_name,
    predictions_of,
    read_settings,
)
from .sections import section_from_bag, section_from_scores
from .strips import make_strips

if TYPE_CHECKING:
    from ..training.run_files import TrainResult

#: Slides with images on one page, so that it stays small enough to send.
MAX_SLIDES = 8
_MAX_RUN_SLIDES = 4


def build_report(
    path: str | Path,
    *,
    annotations: Mapping[str, Path] | None = None,
    labels: Mapping[str, str] | None = None,
    max_slides: int = MAX_SLIDES,
    progress: ProgressCallback = silent,
) -> ReportContent:
    """Build the report of a folder.

    Parameters
    ----------
    path
        A PROJECT (``bags/`` and ``process.csv``), a RUN (``metrics.json``), a folder of RUNs of several models,
        or a PREDICTION (what ``predict`` wrote).
    annotations
        slide_id -> annotation file, shown next to the prediction.
    labels
        slide_id -> true class, where the folder does not know it.
    max_slides
        Slides that get images; the tables list all.
    progress
        Called once per slide; raising in it stops.

    Raises
    ------
    DataError
        If the folder is none of these, or its files are damaged.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError("there is no such folder", where=folder, hint="Give a project, a run or a prediction")
    builder = _Builder(annotations or {}, labels or {}, max_slides, progress)
    if layout.is_finished_run(folder):
        return builder.run(folder, [folder])
    if layout.is_project(folder):
        return builder.project(folder)
    if any(folder.glob(f"*/{layout.METRICS}")):
        from ..training.run_files import runs_in

        runs = runs_in(folder)
        return builder.run(folder, runs)
    files = [file for file in sorted(folder.glob("*.json")) if file.with_suffix(".patches.csv").is_file()]
    if files:
        return builder.prediction(folder, files)
    raise DataError(
        "this is not a project, a finished run or a prediction",
        where=folder,
        hint="Give the folder that process, train or predict wrote; an unfinished run must be resumed first",
    )


class _Builder:
    """What the three kinds of report share: which slides are shown, and what is known of them."""

    def __init__(
        self,
        annotations: Mapping[str, Path],
        labels: Mapping[str, str],
        max_slides: int,
        progress: ProgressCallback,
    ):
        self._annotations, self._labels = annotations, labels
        self._max, self._progress = max_slides, progress

    def project(self, folder: Path) -> ReportContent:
        rows = read_process_list(folder / layout.PROCESS_LIST)
        bags = bags_in(folder)
        notes: list[str] = []
        sections: list[SlideSection] = []
        for done, bag in enumerate(bags[: self._max]):
            self._progress(Progress("report", done, min(len(bags), self._max), unit="slides", message=bag.stem))
            try:
                sections.append(self._annotated(section_from_bag(bag, label=self._labels.get(bag.stem))))
            except BagError as error:
                notes.append(str(error))
        settings = read_settings(folder)
        states = [row["state"] for row in rows]
        facts = [("Slides", str(max(len(rows), len(bags))))]
        facts += [(state.capitalize(), str(states.count(state))) for state in sorted(set(states))]
        shown = frozenset(section.slide_id for section in sections)
        return ReportContent(
            title=_name(folder),
            date=_now(),
            subtitle="Preprocessing of a project",
            facts=tuple(facts),
            settings=_settings(settings),
            quality=quality_items(folder, rows, bags),
            tables=(process_table(rows, shown),) if rows else (),
            slides=tuple(sections),
            notes=(*notes, *_more(len(bags), self._max)),
        )

    def run(self, folder: Path, runs: Sequence[Path]) -> ReportContent:
        from ..training.run_files import read_run

        results = [read_run(run) for run in runs]
        settings = [read_settings(run) for run in runs]
        single = len(runs) == 1
        names = [model_name(settings[0])] if single else [run.name for run in runs]
        first = results[0]
        parts = sorted({str(part) for result in results for part in result.predictions["split"].unique()})
        facts = [
            ("Model" if single else "Models", ", ".join(names)),
            ("Classes", ", ".join(first.classes)),
            ("Splits", str(len(first.folds))),
            ("Slides predicted", str(first.predictions["slide_id"].nunique())),
        ]
        epochs = [str(fold["epochs"]) for fold in first.folds if "epochs" in fold]  # none in an evaluation
        if single and epochs:
            facts.append(("Epochs", ", ".join(epochs)))
        recipe = settings[0].get("train", {}).get("recipe") if single else None
        if recipe is not None:
            facts.append(("Recipe", str(recipe)))
        evaluated = settings[0].get("evaluated") if single else None
        if evaluated is not None:
            facts.append(("Models of", str(evaluated)))
        notes = []
        if parts != ["test"]:
            notes.append("Some slides below are validation slides: the run has no test slides for them.")
        sections, why_none = self._run_slides(runs[0], first) if single and evaluated is None else ([], [])
        found = patches_of_run(runs[0], first, self._progress) if single else PatchesOfRun()
        named = dict(zip(names, runs, strict=True))
        curves = [*score_charts(dict(zip(names, results, strict=True))), froc_chart(named), found.chart]
        differences = None if single else differences_table(folder / layout.COMPARISON)
        maps = localisation_table(named)
        return ReportContent(
            title=_name(folder),
            date=_now(),
            subtitle="Training and evaluation" if evaluated is None else "Evaluation on other data",
            facts=tuple(facts),
            settings=_settings(settings[0]) if single else (),
            metrics=tuple(metrics_of(name, result) for name, result in zip(names, results, strict=True)),
            charts=make_charts(first.history) if single else compare_charts(dict(zip(names, results, strict=True))),
            curves=tuple(chart for chart in curves if chart is not None),
            strips=found.strips,
            predictions=predictions_of(first) if single else (),
            tables=tuple(table for table in (differences, maps) if table is not None),
            slides=tuple(sections),
            notes=(*notes, *why_none, *found.notes),
        )

    def _run_slides(self, folder: Path, run: TrainResult) -> tuple[list[SlideSection], list[str]]:
        """Predict some unseen slides of the first split again, the wrong ones first, to show where it looked."""
        from ..prediction.slide import predict
        from ..training.checkpoint import load_model

        if bags_are_patients(read_settings(folder)):
            return [], ["Every bag is a patient: there are no images of slides."]
        home = next((parent for parent in folder.resolve().parents[:4] if layout.has_bags(parent)), None)
        if home is None:
            return [], ["The bags are not in a folder above the run: there are no images of slides."]
        table = run.predictions
        one = table[(table["repeat"] == table["repeat"].iloc[0]) & (table["fold"] == table["fold"].iloc[0])]
        one = one.assign(right=one["label"] == one["predicted"], p=one[f"p_{run.classes[-1]}"])
        chosen = one.sort_values(["right", "p"], ascending=[True, False]).head(min(self._max, _MAX_RUN_SLIDES))
        model = load_model(run.model_dir, device="cpu")
        sections, notes = [], []
        for done, row in enumerate(chosen.to_dict("records")):
            bag = find_existing(home / layout.BAGS / f"{row['slide_id']}{layout.BAG_ENDING}")
            self._progress(Progress("report", done, len(chosen), unit="slides", message=bag.stem))
            if not bag.is_file():
                notes.append(f"{row['slide_id']}: the bag is no longer in {bag.parent}.")
                continue
            scores = predict(model, read_bag(bag))
            sections.append(self._annotated(section_from_bag(bag, scores=scores, label=str(row["label"]))))
        notes.append(
            f"Images show {len(sections)} of {len(one)} unseen slides of the first split, misclassified ones first."
        )
        return sections, notes

    def prediction(self, folder: Path, files: Sequence[Path]) -> ReportContent:
        scores = [read_scores(file) for file in files]
        rows = tuple(self._prediction_row(item) for item in scores)
        order = sorted(range(len(scores)), key=lambda k: -rows[k].probability)
        sections: list[SlideSection] = []
        for done, k in enumerate(order[: self._max]):
            item = scores[k]
            self._progress(
                Progress("report", done, min(len(order), self._max), unit="slides", message=item.slide_id)
            )
            label = self._labels.get(item.slide_id)
            sections.append(self._annotated(section_from_scores(item, label=label)))
        strips, unread = make_strips([patches_of_scores(scores[k]) for k in order[: self._max]])
        models = sorted({str(item.attrs.get("model", "unknown")) for item in scores})
        encoders = sorted({str(item.attrs["encoder"]) for item in scores if "encoder" in item.attrs})
        facts = [("Model", ", ".join(models)), ("Slides", str(len(scores)))]
        facts += [("Encoder", ", ".join(encoders))] if encoders else []
        return ReportContent(
            title=_name(folder),
            date=_now(),
            subtitle="Prediction",
            facts=tuple(facts),
            predictions=rows,
            strips=strips,
            slides=tuple(sections),
            notes=(*_more(len(scores), self._max), *unread),
        )

    def _prediction_row(self, scores: SlideScores) -> PredictionRow:
        positive = 1 if len(scores.classes) == 2 else int(scores.probabilities.argmax())
        return PredictionRow(
            slide_id=scores.slide_id,
            label=self._labels.get(scores.slide_id),
            probability=float(scores.probabilities[positive]),
            predicted=scores.predicted,
            positive=scores.classes[positive],
        )

    def _annotated(self, section: SlideSection) -> SlideSection:
        file = self._annotations.get(section.slide_id)
        if file is None:
            return section
        shown = None if section.scores is None else section.scores.classes[section.shown_class]
        return with_annotations(
            section, _of_class(read_annotations(file, info=section.info or section.place), shown)
        )


def _of_class(annotations: Sequence[Annotation], name: str | None) -> Sequence[Annotation]:
    """Outlines of the class ``name`` (``Tumor`` is ``tumour``); all of them where no class is called so."""

    def plain(text: str | None) -> str:
        return (text or "").casefold().replace("tumour", "tumor")

    return next((found for kind, found in by_class(annotations).items() if plain(kind) == plain(name)), annotations)


def _settings(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return flat({name: value for name, value in values.items() if name != "previous"})


def _more(count: int, shown: int) -> tuple[str, ...]:
    return (f"Images show {shown} of {count} slides; the tables list all.",) if count > shown else ()


def _name(folder: Path) -> str:
    return folder.resolve().name or str(folder)


def _now() -> str:
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
