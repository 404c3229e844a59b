"""Read the stored results of a slide from a project, without computing them again. No Qt, no napari."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sam_mil_engine.errors import ModelError
from sam_mil_engine.progress import Progress, ProgressCallback, silent
from sam_mil_engine.tables.cells import nfc

from ..background.worker import call_in_worker
from .classifier import predict_with_best_fit
from .model import Analysis, StoredResults
from .source import SlideSource

if TYPE_CHECKING:
    from sam_mil_engine.mil.scores import SlideScores
    from sam_mil_engine.process.results import ProcessedSlide


@dataclass(frozen=True, slots=True)
class StoredAnalysis:
    """The stored results of a slide, and a note for the user, which may be empty."""

    analysis: Analysis
    note: str = ""


@dataclass(frozen=True, slots=True)
class OtherSlide:
    """A project holds results of a different slide with the same name.

    Attributes
    ----------
    slide_id
        The name of both.
    path
        The file of the other slide, as recorded in the project.
    """

    slide_id: str
    path: str

    @property
    def message(self) -> str:
        """The message to the user."""
        return (
            f"The project holds results of a different slide called {self.slide_id} ({self.path}), which are not "
            "shown. To analyse this slide without replacing them, choose another project."
        )


def read_stored(source: SlideSource, stored: StoredResults) -> StoredAnalysis | OtherSlide | None:
    """Read tissue, segments and features of a slide; return None if the project has none.

    The fingerprint identifies the slide, since the project may hold a different slide with the same name. It is
    also the slide where only the resolution differs, which a project may state: it is in the facts of the result.

    This only reads the file. :func:`predict_stored` adds the prediction.

    Raises
    ------
    SamMilError
        If the bag is damaged.
    """
    from sam_mil_engine.bag import h5
    from sam_mil_engine.slide.info import slide_sha

    path = stored.bag(source)
    if not path.is_file():
        return None
    known = h5.read_attributes(path)
    facts = (source.info, replace(source.info, mpp=known.get("mpp")))
    info = next((one for one in facts if known.get("slide_sha") == slide_sha(one)), None)
    if info is None:
        return OtherSlide(source.info.slide_id, str(known.get("slide_path", "file not recorded")))
    return StoredAnalysis(with_saved_names(Analysis(replace(read_processed(source, path), info=info))))


def with_saved_names(analysis: Analysis) -> Analysis:
    """Return the analysis with the names that were saved with its segments."""
    from sam_mil_engine.bag.h5 import read_segment_origin

    origin = read_segment_origin(analysis.processed.bag_path)
    return analysis if origin is None or not origin.names else replace(analysis, names=origin.names)


def predict_stored(
    found: StoredAnalysis, stored: StoredResults, *, progress: ProgressCallback = silent
) -> StoredAnalysis:
    """Add the scores that `predict` wrote, or predict with the classifier.

    If the classifier does not fit the features, there is no prediction, and the note says why.
    """
    progress(Progress("classify", 0, 1, unit="slides"))
    result = _predicted(found.analysis, stored, progress)
    progress(Progress("classify", 1, 1, unit="slides"))
    return result


def read_processed(source: SlideSource, path: Path) -> ProcessedSlide:
    """Read all results in a bag file, whichever stages are done."""
    from sam_mil_engine.bag import h5
    from sam_mil_engine.process.results import ProcessedSlide

    stages, grid = h5.read_stages(path), h5.read_grid(path)
    bag = h5.read_bag(path) if "features" in stages else None
    return ProcessedSlide(
        slide_id=nfc(path.stem),
        bag_path=path,
        info=source.info,
        tissue=h5.read_tissue(path),
        artefacts=h5.read_artefacts(path),
        grid=grid,
        segments=h5.read_segments(path),
        bag=bag,
        reused=tuple(stages),
        tiles=None if grid is None else len(grid),
        groups=None if bag is None or bag.groups is None else len(bag.groups),
        segmenter=h5.read_segmenter(path),
    )


def _predicted(analysis: Analysis, stored: StoredResults, progress: ProgressCallback) -> StoredAnalysis:
    bag = analysis.processed.bag
    if bag is None:
        return StoredAnalysis(analysis)
    if stored.scores is not None:
        scores = _fitting_scores(analysis.processed, stored.scores)
        if scores is not None:
            return StoredAnalysis(replace(analysis, scores=scores))
    try:
        path = analysis.processed.bag_path
        model, scores = call_in_worker(predict_with_best_fit, stored.classifier, path, progress=progress)
        return StoredAnalysis(replace(analysis, scores=scores, model=model))
    except ModelError as error:
        return StoredAnalysis(analysis, f"Not classified: {error.what}.")


def _fitting_scores(processed: ProcessedSlide, file: Path) -> SlideScores | None:
    """Return the scores in a file if they belong to the same patches and groups, else None."""
    from sam_mil_engine.mil.score_files import read_scores

    scores, bag = read_scores(file), processed.bag
    if bag is None or not np.array_equal(scores.coords_px0, bag.coords_px0):
        return None
    groups = 0 if bag.groups is None else len(bag.groups)
    return scores if scores.groups is None or len(scores.groups.attention_mass) == groups else None
