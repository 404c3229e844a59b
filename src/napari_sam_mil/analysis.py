"""What the Analyze dock asks of the engine: from the user's choices to a result. No Qt, no napari."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from platformdirs import user_data_path

from sam_mil_engine.errors import ProjectError
from sam_mil_engine.progress import Progress, ProgressCallback, silent
from sam_mil_engine.settings import STAGES, ProcessSettings, SegmentSettings

from .classifier import Classifier
from .source import SlideFacts, SlideSource

if TYPE_CHECKING:
    from sam_mil_engine.mil.scores import SlideScores
    from sam_mil_engine.segment.nuclei_size import MppEstimate
    from sam_mil_engine.train.checkpoint import TrainedModel
    from sam_mil_engine.workflow.outcome import ProcessedSlide

#: The bundled classifier that fits the slide best: each knows what it was trained on.
BUNDLED = "auto"

#: Step that the user can ask for -> engine stages it needs; *Classify* adds the prediction.
STEPS: dict[str, tuple[str, ...]] = {
    "Tissue": ("tissue",),
    "Segment": ("tissue", "segments"),
    "Features": ("tissue", "tiles", "features"),
    "Classify": STAGES,
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose.

    Attributes
    ----------
    segmenter
        A name that the engine's registry knows, or a path.
    encoder
        The same for encoders; None takes the one that the classifier expects.
    classifier
        ``auto``, the name of a bundled model, or the folder of a RUN.
    preset
        Name of the tissue preset; None takes that of the project.
    project
        Folder in which results are kept.
    """

    segmenter: str = SegmentSettings().segmenter
    encoder: str | None = None
    classifier: str = BUNDLED
    preset: str | None = None
    project: Path = user_data_path("napari-sam-mil", appauthor=False) / "project"


@dataclass(frozen=True, slots=True)
class ResolutionAsked:
    """What a person should know to state the resolution of a slide.

    Attributes
    ----------
    expected
        Micrometres per pixel that the classifier expects.
    estimate
        What the nuclei suggest, or None where too few are seen.
    """

    expected: float
    estimate: MppEstimate | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is known of a slide: what the engine made of it, what a classifier says of that, names of segments.

    ``asks`` is set where the rest needs the resolution of a slide that does not say it.
    """

    processed: ProcessedSlide
    scores: SlideScores | None = None
    model: Classifier | None = None
    names: tuple[str, ...] = ()
    asks: ResolutionAsked | None = None

    def after(self, earlier: Analysis | None) -> Analysis:
        """Keep the earlier prediction where this step made none and the patches are still the same."""
        if earlier is None or earlier.scores is None or self.scores is not None or self.processed.bag is None:
            return self
        same = np.array_equal(self.processed.bag.coords_px0, earlier.scores.coords_px0)
        return Analysis(self.processed, earlier.scores, earlier.model) if same else self


def _settings(choices: Choices, model: TrainedModel, source: SlideSource | SlideFacts) -> ProcessSettings:
    """Return what the classifier expects, on top of what the project has, so that its results are used."""
    from sam_mil_engine.workflow.prediction import settings_for

    return settings_for(
        model,
        source_mpp=source.user_mpp,
        slide_mpp=source.mpp,
        segmenter=None if choices.segmenter == "auto" else choices.segmenter,
        encoder=choices.encoder,
        preset=choices.preset,
        kept=recorded_settings(choices.project),
    )


def recorded_settings(project: Path) -> ProcessSettings:
    """Return the settings with which a project was made last; the defaults where it is new."""
    path = project / "settings.json"
    if not path.is_file():
        return ProcessSettings()
    try:
        return ProcessSettings.parse(json.loads(path.read_text(encoding="utf-8"))["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ProjectError(
            f"its settings cannot be read ({error})", where=path, hint="Choose another project folder"
        ) from error


def analyse(
    source: SlideSource | SlideFacts,
    choices: Choices,
    *,
    step: str = "Classify",
    progress: ProgressCallback = silent,
) -> Analysis:
    """Run one step of :data:`STEPS` and everything before it that is not done yet.

    Where the step needs the resolution of a slide that does not say it, only tissue and segments are made, which do
    not; the result then ``asks`` for it.

    Raises
    ------
    SamMilError
        Whatever the engine says; what was finished is kept in the project.
    """
    from sam_mil_engine.train.checkpoint import load_candidates
    from sam_mil_engine.workflow.candidates import candidates_for
    from sam_mil_engine.workflow.process import process_slide

    models = load_candidates(choices.classifier)
    expected = models[0].expects.mpp
    asks = expected is not None and source.mpp is None and "tiles" in STEPS[step]
    if "tiles" in STEPS[step] and not asks:
        models = candidates_for(models, source.info.path, lambda model: _settings(choices, model, source))
    processed = process_slide(
        source.info.path,
        choices.project,
        settings=_settings(choices, models[0], source),
        stages=STEPS["Segment"] if asks else STEPS[step],
        progress=progress,
    )
    if asks and expected is not None:
        return Analysis(processed, asks=ResolutionAsked(expected, _estimate(source, processed)))
    if step != "Classify" or processed.bag is None:
        return Analysis(processed)
    from sam_mil_engine.predict import best_fit, predict

    progress(Progress("classify", 0, 1, "slides"))
    model = best_fit(models, processed.bag)
    scores = predict(model, processed.bag)
    progress(Progress("classify", 1, 1, "slides"))
    return Analysis(processed, scores, Classifier.of(model))


def _estimate(source: SlideSource | SlideFacts, processed: ProcessedSlide) -> MppEstimate | None:
    """Estimate the resolution from the nuclei in the tissue."""
    from sam_mil_engine.segment.nuclei_size import estimate_mpp
    from sam_mil_engine.slide.reader import open_slide

    if processed.tissue is None:
        return None
    with open_slide(source.info.path) as slide:
        return estimate_mpp(slide, processed.tissue)


def analyse_lightly(
    facts: SlideFacts, choices: Choices, *, step: str, progress: ProgressCallback = silent
) -> Analysis:
    """Run :func:`analyse`, and leave in the bag file what is there: the rest is light enough to travel."""
    found = analyse(facts, choices, step=step, progress=progress)
    return replace(found, processed=found.processed.without_arrays())
