"""The demo: make slides, process them, train on slide labels, predict, compare with the truth, report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import layout
from .annotations.compare import Row
from .errors import DataError, SlideError
from .prediction.comparison import compare_bag, write_rows
from .process.batch import process_slides
from .progress import Progress, ProgressCallback, silent
from .sample import fetch_cmu
from .settings import DemoSettings
from .training.labels import read_labels


@dataclass(slots=True)
class DemoResult:
    """The results of the demo.

    Attributes
    ----------
    folder, labels, project, run, report
        Where everything lies.
    metrics
        Metrics of the test slides, which the model had not seen.
    test_slides
        How many these are.
    comparisons
        One row per test slide with tumour: its segments and patches against the true outlines.
    example
        A test slide with tumour, to open in napari.
    sample
        The public slide, or None where it could not be fetched; ``sample_note`` says why.
    seconds
        Step -> seconds.
    """

    folder: Path
    labels: Path
    project: Path
    run: Path
    report: Path
    metrics: Mapping[str, float] = field(default_factory=dict)
    test_slides: int = 0
    comparisons: list[Row] = field(default_factory=list)
    example: Path | None = None
    sample: Path | None = None
    sample_note: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def mean_patch_auc(self) -> float:
        """Mean patch-level AUC of the tumour probability over the compared slides."""
        return _mean(self.comparisons, "probability_auc")

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Measure a step."""
        start = time.perf_counter()
        yield
        self.seconds[step] = time.perf_counter() - start


def run_demo(
    folder: str | Path,
    *,
    settings: DemoSettings | None = None,
    device: str = "auto",
    progress: ProgressCallback = silent,
) -> DemoResult:
    """Run the complete workflow in ``folder``; steps that an earlier run finished are not repeated.

    Raises
    ------
    SamMilError
        If a step fails; the steps before it stay.
    """
    from .synthetic import make_cohort
    from .training.loop import train

    settings = settings or DemoSettings()
    folder = Path(folder)
    project = folder / "project"
    run = project / "runs" / "sam-mil"
    result = DemoResult(
        folder=folder, labels=folder / layout.LABELS, project=project, run=run, report=folder / "report.html"
    )
    with result.timed("make slides"):
        result.labels = make_cohort(folder, slides=settings.slides, seed=settings.seed, progress=progress)
        _fetch_sample(result)
    with result.timed("process"):
        _process(result, settings, device, progress)
    with result.timed("train"):
        trained = train(
            project / layout.BAGS,
            result.labels,
            run,
            settings=settings.train,
            resume=run.exists(),
            progress=progress,
        )
    test = trained.predictions[trained.predictions["split"] == "test"]
    result.metrics, result.test_slides = trained.metrics, len(test)
    tumours = [str(name) for name in test.loc[test["label"] == trained.classes[-1], "slide_id"]]
    with result.timed("compare"):
        _compare(result, tumours, device, progress)
    with result.timed("report"):
        _report(result, progress)
    if tumours:
        result.example = folder / "slides" / f"{tumours[0]}.tiff"
    return result


def _fetch_sample(result: DemoResult) -> None:
    try:
        result.sample = fetch_cmu()
    except SlideError as error:
        result.sample_note = f"The public sample slide was not fetched: {error}"


def _process(result: DemoResult, settings: DemoSettings, device: str, progress: ProgressCallback) -> None:
    slides = sorted((result.folder / "slides").glob("*.tiff"))
    results = process_slides(slides, result.project, settings=settings.process, device=device, progress=progress)
    for number, item in enumerate(results, start=1):
        progress(Progress("cohort", number, len(slides), unit="slides", message=item.path.stem))
        if item.error is not None:
            raise item.error


def _compare(result: DemoResult, slides: list[str], device: str, progress: ProgressCallback) -> None:
    rows: list[Row] = []
    for number, name in enumerate(slides):
        progress(Progress("compare", number, len(slides), unit="slides", message=name))
        bag = result.project / layout.BAGS / f"{name}{layout.BAG_ENDING}"
        outlines = result.folder / "annotations" / f"{name}.geojson"
        for comparison in compare_bag(bag, outlines, model=str(result.run), device=device):
            rows.append({"slide_id": name, **comparison.summary()})
    progress(Progress("compare", len(slides), len(slides), unit="slides"))
    write_rows(result.folder / layout.COMPARISON, rows)
    result.comparisons = rows


def _report(result: DemoResult, progress: ProgressCallback) -> None:
    from .report.page import write_report
    from .report.project import build_report

    outlines = {path.stem: path for path in (result.folder / "annotations").glob("*.geojson")}
    content = build_report(result.run, annotations=outlines, labels=_labels(result.labels), progress=progress)
    write_report(result.report, content)


def _labels(path: Path) -> dict[str, str]:
    table = read_labels(path)
    return dict(zip(table["slide_id"], table["label"], strict=True))


def _mean(rows: list[Row], name: str) -> float:
    values: list[Any] = [row[name] for row in rows if row.get(name) is not None]
    if not values:
        raise DataError(
            f"no slide has a value of {name}", hint="The test part holds no slide with tumour; use more slides"
        )
    return float(np.mean(values))
