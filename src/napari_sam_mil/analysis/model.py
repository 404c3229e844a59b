"""The user's choices, the results of a slide, and where they are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from platformdirs import user_data_path

from sam_mil_engine import layout
from sam_mil_engine.bag.names import find_existing
from sam_mil_engine.settings import SegmentSettings

from .classifier import Classifier
from .project_settings import recorded_slide

if TYPE_CHECKING:
    from sam_mil_engine.mil.scores import SlideScores
    from sam_mil_engine.process.results import ProcessedSlide
    from sam_mil_engine.segment.nuclei_size import MppEstimate

    from .source import SlideSource

#: Takes the bundled classifier whose training slides are most similar to the slide.
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Choices:
    """The user's choices in the Analyze dock.

    Attributes
    ----------
    segmenter
        A name that the engine's registry knows, or a path.
    encoder
        The same for the encoder; None takes the one that the classifier expects.
    classifier
        ``auto``, the name of a bundled model, or the folder of a run.
    preset
        Name of the tissue preset; None takes the preset of the project.
    project
        Folder for the results.
    changes
        Dotted name -> value of further settings. They override the project and the classifier.
    """

    segmenter: str = SegmentSettings().segmenter
    encoder: str | None = None
    classifier: str = AUTO
    preset: str | None = None
    project: Path = user_data_path("napari-sam-mil", appauthor=False) / "project"
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResolutionQuestion:
    """What the user needs to know to enter the resolution of a slide.

    Attributes
    ----------
    expected
        Micrometres per pixel that the classifier expects.
    estimate
        Estimate from the size of the nuclei, or None if there are too few.
    """

    expected: float
    estimate: MppEstimate | None


@dataclass(frozen=True, slots=True)
class Analysis:
    """The results of a slide: the engine's stages, the prediction, the classifier, and names of segments.

    ``asks`` is set if the remaining stages need the resolution and the slide file does not state it.
    """

    processed: ProcessedSlide
    scores: SlideScores | None = None
    model: Classifier | None = None
    names: tuple[str, ...] = ()
    asks: ResolutionQuestion | None = None

    def after(self, earlier: Analysis | None) -> Analysis:
        """Keep the earlier prediction if this step made none and the patches are the same."""
        if earlier is None or earlier.scores is None or self.scores is not None or self.processed.bag is None:
            return self
        same = np.array_equal(self.processed.bag.coords_px0, earlier.scores.coords_px0)
        return Analysis(self.processed, earlier.scores, earlier.model) if same else self


@dataclass(frozen=True, slots=True)
class StoredResults:
    """Where the results of a slide are stored.

    Attributes
    ----------
    project
        The project folder.
    classifier
        The model that predicts from the features: ``auto``, the name of a bundled model, or a model folder.
    scores
        File of scores that `predict` wrote. They are shown without a new prediction.
    slide_id
        The name of the slide in the project; None takes the one that the project records of the file.
    """

    project: Path
    classifier: str = AUTO
    scores: Path | None = None
    slide_id: str | None = None

    def bag(self, source: SlideSource) -> Path:
        """Return the path of the slide's bag, which may not exist yet."""
        slide_id = self.slide_id or recorded_slide(self.project, source.info.path).slide_id
        return find_existing(self.project / layout.BAGS / f"{slide_id}{layout.BAG_ENDING}")
