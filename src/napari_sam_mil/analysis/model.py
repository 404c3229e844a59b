"""What the user chose, what is known of a slide, and where its results are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from platformdirs import user_data_path

from sam_mil_engine import layout
from sam_mil_engine.bag.names import find_existing
from sam_mil_engine.settings import SegmentSettings
from sam_mil_engine.slide.info import slide_id_of

from .classifier import Classifier

if TYPE_CHECKING:
    from sam_mil_engine.mil.scores import SlideScores
    from sam_mil_engine.process.results import ProcessedSlide
    from sam_mil_engine.segment.nuclei_size import MppEstimate

    from .source import SlideSource

#: The bundled classifier that fits the slide best: each knows what it was trained on.
BUNDLED = "auto"


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
    changes
        Dotted name -> value of further settings, instead of what the project and the classifier have.
    """

    segmenter: str = SegmentSettings().segmenter
    encoder: str | None = None
    classifier: str = BUNDLED
    preset: str | None = None
    project: Path = user_data_path("napari-sam-mil", appauthor=False) / "project"
    changes: dict[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class StoredResults:
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
        return find_existing(self.project / layout.BAGS / f"{slide_id_of(source.info.path)}{layout.BAG_ENDING}")
