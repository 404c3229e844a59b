"""Run the engine with the user's choices, for the Analyze dock. No Qt, no napari."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sam_mil_engine.progress import Progress, ProgressCallback, silent
from sam_mil_engine.settings import STAGES, ProcessSettings
from sam_mil_engine.settings.changes import with_changes

from ..background.worker import call_in_worker
from .classifier import Classifier
from .model import Analysis, Choices, ResolutionQuestion
from .project_settings import recorded_settings, recorded_slide
from .results import read_processed, with_saved_names
from .source import SlideFacts, SlideSource

if TYPE_CHECKING:
    from sam_mil_engine.process.job import Tools
    from sam_mil_engine.process.results import ProcessedSlide
    from sam_mil_engine.segment.nuclei_size import MppEstimate
    from sam_mil_engine.training.checkpoint import TrainedModel

#: Step in the Analyze dock -> the engine stages that it needs. *Classify* adds the prediction.
STEPS: dict[str, tuple[str, ...]] = {
    "Tissue": ("tissue",),
    "Segment": ("tissue", "segments"),
    "Features": ("tissue", "tiles", "features"),
    "Groups": STAGES,
    "Classify": STAGES,
}


def _settings(choices: Choices, model: TrainedModel, source: SlideSource | SlideFacts) -> ProcessSettings:
    """Return the project's settings with those that the classifier expects, so that stored results are reused."""
    from sam_mil_engine.prediction.batch import settings_for

    stated = recorded_slide(choices.project, source.info.path).mpp
    settings = settings_for(
        model,
        source_mpp=source.user_mpp,
        slide_mpp=source.mpp if stated is None else (stated, stated),
        segmenter=None if choices.segmenter == "auto" else choices.segmenter,
        encoder=choices.encoder,
        preset=choices.preset,
        kept=recorded_settings(choices.project),
    )
    return with_changes(settings, choices.changes) if choices.changes else settings


def _tools(choices: Choices, model: TrainedModel, source: SlideSource | SlideFacts) -> Tools:
    """Return the tools for these settings; automatic segments are those that the classifier was trained with."""
    from sam_mil_engine.prediction.segments import automatic_segments
    from sam_mil_engine.process.job import Tools

    settings = _settings(choices, model, source)
    automatic = automatic_segments(model, settings.segments)
    if automatic is not None:
        changed = settings.model_copy(update={"segments": automatic})
        automatic = with_changes(changed, choices.changes).segments if choices.changes else automatic
    return Tools(settings, automatic=automatic)


def analyse(
    source: SlideSource | SlideFacts,
    choices: Choices,
    *,
    step: str = "Classify",
    progress: ProgressCallback = silent,
) -> Analysis:
    """Run one step of :data:`STEPS` and all stages before it that are not done yet.

    If the step needs the resolution and the slide does not state it, only tissue and segments are computed. The
    result then ``asks`` for it.

    Raises
    ------
    SamMilError
        If a stage fails. Finished stages stay in the project.
    """
    from sam_mil_engine.prediction.candidates import candidates_for
    from sam_mil_engine.process.runner import process_slide
    from sam_mil_engine.training.checkpoint import load_candidates

    models = load_candidates(choices.classifier)
    expected = models[0].expects.mpp
    slide = recorded_slide(choices.project, source.info.path)
    mpp = source.mpp or slide.mpp
    asks = expected is not None and mpp is None and "tiles" in STEPS[step]
    if "tiles" in STEPS[step] and not asks:
        models = candidates_for(models, source.info.path, lambda model: _settings(choices, model, source))
    tools = _tools(choices, models[0], source)
    without_mpp = STEPS["Segment"] if tools.segments.mpp is None else STEPS["Tissue"]
    processed = process_slide(
        slide if choices.preset is None else replace(slide, preset=None),
        choices.project,
        tools=tools,
        stages=without_mpp if asks else STEPS[step],
        progress=progress,
    )
    if asks and expected is not None:
        return Analysis(processed, asks=ResolutionQuestion(expected, _estimate(source, processed)))
    if step != "Classify" or processed.bag is None:
        return Analysis(processed)
    from sam_mil_engine.prediction.slide import best_fit, predict

    progress(Progress("classify", 0, 1, unit="slides"))
    model = best_fit(models, processed.bag)
    scores = predict(model, processed.bag)
    progress(Progress("classify", 1, 1, unit="slides"))
    return Analysis(processed, scores, Classifier.of(model))


def _estimate(source: SlideSource | SlideFacts, processed: ProcessedSlide) -> MppEstimate | None:
    """Estimate the resolution from the nuclei in the tissue."""
    from sam_mil_engine.segment.nuclei_size import estimate_mpp
    from sam_mil_engine.slide.reader import open_slide

    if processed.tissue is None:
        return None
    with open_slide(source.info.path) as slide:
        return estimate_mpp(slide, processed.tissue)


def analyse_without_arrays(
    facts: SlideFacts, choices: Choices, *, step: str, progress: ProgressCallback = silent
) -> Analysis:
    """Run :func:`analyse`, and drop the arrays that the bag file holds, so that the result is small to pickle."""
    found = analyse(facts, choices, step=step, progress=progress)
    return replace(found, processed=found.processed.without_arrays())


def analyse_in_worker(
    source: SlideSource, choices: Choices, *, step: str, progress: ProgressCallback = silent
) -> Analysis:
    """Run :func:`analyse` in the worker process, and read its results from the project.

    Raises
    ------
    SamMilError
        If a stage fails. Finished stages stay in the project.
    """
    light: Analysis = call_in_worker(analyse_without_arrays, source.facts, choices, step=step, progress=progress)
    whole = read_processed(source, light.processed.bag_path)
    ran = light.processed
    return with_saved_names(replace(light, processed=replace(whole, seconds=ran.seconds, reused=ran.reused)))
