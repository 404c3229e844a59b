"""What a project already knows of a slide, read without computing anything of the slide again. No Qt, no napari."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sam_mil_engine import layout
from sam_mil_engine.bag.names import existing_form
from sam_mil_engine.errors import ModelError
from sam_mil_engine.progress import Progress, ProgressCallback, silent
from sam_mil_engine.slide.info import slide_id_of

from .analysis import BUNDLED, Analysis, Choices, analyse_lightly
from .classifier import predicted_by_best
from .edits import with_saved_names
from .other_process import in_other_process
from .preload import while_loading
from .source import SlideSource

if TYPE_CHECKING:
    from sam_mil_engine.mil.scores import SlideScores
    from sam_mil_engine.workflow.outcome import ProcessedSlide


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the results of a slide lie.

    Attributes
    ----------
    project
        The project folder.
    classifier
        ``auto``, the name of a bundled model, or a model folder: what predicts from the features.
    scores
        Scores that `predict` wrote: shown as they are, without a classifier.
    """

    project: Path
    classifier: str = BUNDLED
    scores: Path | None = None

    def bag(self, source: SlideSource) -> Path:
        """Return where the slide's bag is, or would be."""
        return existing_form(self.project / layout.BAGS / f"{slide_id_of(source.info.path)}{layout.BAG_ENDING}")


@dataclass(frozen=True, slots=True)
class Found:
    """What a project knows of a slide, and what the user should know of that (or nothing)."""

    analysis: Analysis
    note: str = ""


@dataclass(frozen=True, slots=True)
class OtherSlide:
    """A project holds results of another slide of the same name.

    Attributes
    ----------
    slide_id
        The name of both.
    path
        The file of the other one, as the project knows it.
    """

    slide_id: str
    path: str

    @property
    def message(self) -> str:
        """What the user should know of it."""
        return (
            f"The project holds results of another slide called {self.slide_id} ({self.path}). They are not shown. "
            "To analyse this slide without replacing them, choose another project."
        )


def read_kept(source: SlideSource, kept: Kept) -> Found | OtherSlide | None:
    """Read tissue, segments and features of a slide; None where the project has none.

    A slide is known by its fingerprint: the project may hold another one of the same name.

    Takes no more than reading the file: :func:`predict_kept` adds the prediction.

    Raises
    ------
    SamMilError
        If the bag is damaged.
    """
    from sam_mil_engine.bag import h5
    from sam_mil_engine.workflow.project import slide_sha

    path = kept.bag(source)
    if not path.is_file():
        return None
    known = h5.read_attributes(path)
    if known.get("slide_sha") != slide_sha(source.info):
        return OtherSlide(source.info.slide_id, str(known.get("slide_path", "its file is not known")))
    return while_loading(lambda: Found(with_saved_names(Analysis(_processed(source, path)))))


def analyse_elsewhere(
    source: SlideSource, choices: Choices, *, step: str, progress: ProgressCallback = silent
) -> Analysis:
    """Run :func:`~napari_sam_mil.analysis.analyse` in another process, and read what it left in the project.

    Raises
    ------
    SamMilError
        Whatever the engine says; what was finished is kept in the project.
    """
    light: Analysis = while_loading(
        lambda: in_other_process(analyse_lightly, source.facts, choices, step=step, progress=progress),
    )
    whole = _processed(source, light.processed.bag_path)
    ran = light.processed
    return with_saved_names(replace(light, processed=replace(whole, seconds=ran.seconds, reused=ran.reused)))


def predict_kept(found: Found, kept: Kept, *, progress: ProgressCallback = silent) -> Found:
    """Add what `predict` wrote, or what the classifier says of the features.

    A classifier that does not fit them leaves the prediction out, and the note says why.
    """
    progress(Progress("classify", 0, 1, unit="slides"))
    result = _predicted(found.analysis, kept, progress)
    progress(Progress("classify", 1, 1, unit="slides"))
    return result


def _processed(source: SlideSource, path: Path) -> ProcessedSlide:
    from sam_mil_engine.bag import h5
    from sam_mil_engine.workflow.outcome import ProcessedSlide

    stages, grid = h5.read_stages(path), h5.read_grid(path)
    bag = h5.read_bag(path) if "features" in stages else None
    return ProcessedSlide(
        slide_id=slide_id_of(source.info.path),
        bag_path=path,
        info=source.info,
        tissue=h5.read_tissue(path),
        grid=grid,
        segments=h5.read_segments(path),
        bag=bag,
        reused=tuple(stages),
        tiles=None if grid is None else len(grid),
        groups=None if bag is None or bag.groups is None else len(bag.groups),
        segmenter=h5.read_segmenter(path),
    )


def _predicted(analysis: Analysis, kept: Kept, progress: ProgressCallback) -> Found:
    bag = analysis.processed.bag
    if bag is None:
        return Found(analysis)
    if kept.scores is not None:
        scores = _fitting_scores(analysis.processed, kept.scores)
        if scores is not None:
            return Found(replace(analysis, scores=scores))
    try:
        path = analysis.processed.bag_path
        model, scores = in_other_process(predicted_by_best, kept.classifier, path, progress=progress)
        return Found(replace(analysis, scores=scores, model=model))
    except ModelError as error:
        return Found(analysis, f"Not classified: {error.what}.")


def _fitting_scores(processed: ProcessedSlide, file: Path) -> SlideScores | None:
    """Return the scores in a file, where they are of the same patches and groups."""
    from sam_mil_engine.mil.score_files import read_scores

    scores, bag = read_scores(file), processed.bag
    if bag is None or not np.array_equal(scores.coords_px0, bag.coords_px0):
        return None
    groups = 0 if bag.groups is None else len(bag.groups)
    return scores if scores.groups is None or len(scores.groups.attention_mass) == groups else None
