"""Two slides side by side: their results, and where both lie. No Qt, no napari."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sam_mil_engine.progress import ProgressCallback, silent

from .model import Analysis
from .placement import Mpp, Place, pixel_size
from .results import StoredAnalysis, predict_stored, read_stored
from .source import SlideSource

if TYPE_CHECKING:
    from sam_mil_engine.slide.tissue_regions import TissueRegions


@dataclass(frozen=True, slots=True)
class PairSide:
    """One of two slides.

    Attributes
    ----------
    source
        The slide.
    levels
        Its pyramid.
    analysis
        Its results, or None.
    """

    source: SlideSource
    levels: Any
    analysis: Analysis | None = None

    @property
    def title(self) -> str:
        """Name of the slide."""
        return self.source.info.slide_id

    @property
    def middle_px0(self) -> tuple[float, float]:
        """Middle (x, y) of the tissue if it is known, else of the slide."""
        tissue: TissueRegions | None = None if self.analysis is None else self.analysis.processed.tissue
        bounds = None if tissue is None else tissue.bounds_px0
        left, top, right, bottom = bounds or (0.0, 0.0, *map(float, self.source.info.size_px0))
        return (left + right) / 2, (top + bottom) / 2


def read_side(source: SlideSource, levels: Any, *, progress: ProgressCallback = silent) -> PairSide:
    """Read the stored results of a slide, with a prediction where its classifier fits.

    Raises
    ------
    SamMilError
        If the results are damaged.
    """
    found = None if source.stored is None else read_stored(source, source.stored)
    if source.stored is None or not isinstance(found, StoredAnalysis):
        return PairSide(source, levels)
    source.take_resolution(found.analysis.processed.info)
    return PairSide(source, levels, predict_stored(found, source.stored, progress=progress).analysis)


def common_resolution(left: PairSide, right: PairSide) -> tuple[Mpp, Mpp]:
    """Return the resolutions at which both are shown: their own, or none if one of them is not known."""
    known = left.source.mpp is not None and right.source.mpp is not None
    return (left.source.mpp, right.source.mpp) if known else (None, None)


def aligned(left: PairSide, right: PairSide, *, shift: tuple[float, float] = (0.0, 0.0)) -> tuple[Place, Place]:
    """Place both so that their middles lie at one point of the world.

    Parameters
    ----------
    shift
        By how much the right slide is moved to the right and down, in µm; in pixels without a common resolution.
    """
    places = []
    for side, mpp, moved in zip((left, right), common_resolution(left, right), ((0.0, 0.0), shift), strict=True):
        width, height = pixel_size(mpp)
        x, y = side.middle_px0
        places.append(Place(mpp, (moved[1] - y * height, moved[0] - x * width)))
    return places[0], places[1]
