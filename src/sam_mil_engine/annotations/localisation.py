"""How well the map of a slide finds what is annotated: patch by patch, and lesion by lesion (methods §3).

FROC is as CAMELYON16 defines it (Ehteshami Bejnordi et al. 2017): a lesion is a connected part of the annotation,
a detection a local maximum of the map, and sensitivity over lesions is read at 1/4, 1/2, 1, 2, 4 and 8 false
positives per slide without tumour. Lesions of isolated tumour cells, which the challenge leaves out, are not known
from outlines alone and stay in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from ..training.bootstrap import interval, resample
from ..training.metrics import auc, average_precision, calibration_gaps, ratio, squared_error
from .model import Area

FloatArray = npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]

#: False positives per slide without tumour at which sensitivity is read.
FALSE_POSITIVES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
#: Lesions that are nearer than this are one, as in CAMELYON16.
JOIN_UM = 75.0
#: Resamples of slides or patients.
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class MapOfSlide:
    """The map of one slide and the truth about it.

    Attributes
    ----------
    slide_id, unit
        Names of the slide, and of what is resampled: the slide, or its patient.
    negative
        Whether the slide is of the negative class.
    probability, marked
        (N,) of the patches: probability of not being negative, and whether it reaches the threshold.
    inside
        (N,) whether half of the patch at least is annotated.
    detections
        (M,) probabilities of the local maxima of the map.
    lesions
        (K,) the highest detection that meets each lesion, 0 where none does.
    """

    slide_id: str
    unit: str
    negative: bool
    probability: FloatArray
    marked: BoolVector
    inside: BoolVector
    detections: FloatArray
    lesions: FloatArray

    def row(self) -> dict[str, object]:
        """Return the metrics of the slide alone; None where one is not defined."""
        ranking = _ranking(self)
        marked = int(self.marked.sum())
        return {
            "slide_id": self.slide_id,
            "patches": len(self.inside),
            "annotated": int(self.inside.sum()),
            "marked": marked,
            "patch_auc": ranking[0],
            "average_precision": ranking[1],
            "precision": float(self.inside[self.marked].mean()) if marked and not self.negative else None,
            "recall": float(self.marked[self.inside].mean()) if self.inside.any() else None,
            "normal_marked": float(self.marked.mean()) if self.negative else None,
            "brier": float(squared_error(self.inside, self.probability).mean()),
            "lesions": len(self.lesions),
            "lesions_found": int((self.lesions > 0).sum()),
        }


@dataclass(frozen=True, slots=True)
class MapMetric:
    """A metric of all slides with its 95% interval; NaN where it is not defined."""

    name: str
    value: float
    low: float
    high: float


def find_lesions(areas: Sequence[Area], *, mpp: tuple[float, float] | None) -> list[Area]:
    """Return the connected parts of the annotation; those nearer than 75 µm are one, if the resolution is known."""
    reach = 0.0 if mpp is None else JOIN_UM / 2 / float(np.mean(mpp))
    grown = shapely.union_all([shapely.buffer(area, reach) for area in areas])
    return [part for part in shapely.get_parts(grown) if not part.is_empty]


def local_maxima(coords_px0: npt.ArrayLike, step_px0: tuple[float, float], values: FloatArray) -> BoolVector:
    """(N,) which patches have no neighbour (of eight) with a higher value."""
    from scipy.ndimage import maximum_filter

    places = np.rint(np.asarray(coords_px0, dtype=np.float64) / step_px0).astype(np.int64)
    places -= places.min(axis=0)
    raster = np.full(places.max(axis=0) + 1, -np.inf)
    raster[tuple(places.T)] = values
    highest = maximum_filter(raster, size=3, mode="constant", cval=-np.inf)
    return np.asarray(values >= highest[tuple(places.T)], dtype=np.bool_)


def lesion_scores(
    lesions: Sequence[Area],
    coords_px0: npt.ArrayLike,
    size_px0: tuple[float, float],
    detections: BoolVector,
    values: FloatArray,
) -> FloatArray:
    """(K,) the highest detection whose patch meets the lesion, 0 where none does."""
    corners = np.asarray(coords_px0, dtype=np.float64)[detections]
    boxes = shapely.box(*corners.T, *(corners + size_px0).T)
    found = values[detections]
    scores = []
    for lesion in lesions:
        shapely.prepare(lesion)
        scores.append(float(found[shapely.intersects(lesion, boxes)].max(initial=0.0)))
    return np.array(scores)


def map_metrics(slides: Sequence[MapOfSlide]) -> list[MapMetric]:
    """Metrics of all slides together, with 95% intervals of a bootstrap over slides or patients."""
    weights = resample([slide.unit for slide in slides], resamples=_RESAMPLES)
    everything = np.concatenate([np.ones((1, len(slides))), weights])
    values = {**_sums(slides, everything), **_froc(slides, everything)}
    intervals = {name: interval(found[1:]) for name, found in values.items()}
    return [
        MapMetric(name=name, value=float(values[name][0]), low=low, high=high)
        for name, (low, high) in intervals.items()
    ]


def _sums(slides: Sequence[MapOfSlide], weights: FloatArray) -> dict[str, FloatArray]:
    """Metrics that are ratios of sums over slides: name -> (B,)."""
    ranking = np.array([[np.nan if value is None else value for value in _ranking(slide)] for slide in slides])
    ranked = np.isfinite(ranking[:, 0]).astype(np.float64)
    ranking = np.nan_to_num(ranking)
    tumour = np.array([not slide.negative for slide in slides], dtype=np.float64)
    patches = np.array([len(slide.inside) for slide in slides], dtype=np.float64)
    marked = np.array([slide.marked.sum() for slide in slides], dtype=np.float64)
    hit = np.array([(slide.marked & slide.inside).sum() for slide in slides], dtype=np.float64)
    truth = np.array([slide.inside.sum() for slide in slides], dtype=np.float64)
    error = np.array([squared_error(slide.inside, slide.probability).sum() for slide in slides])
    bins = np.stack([calibration_gaps(slide.probability, slide.inside).sum(axis=0) for slide in slides])
    return {
        "patch AUC, mean over slides": ratio(weights @ ranking[:, 0], weights @ ranked),
        "average precision, mean over slides": ratio(weights @ ranking[:, 1], weights @ ranked),
        "precision": ratio(weights @ (hit * tumour), weights @ (marked * tumour)),
        "recall": ratio(weights @ hit, weights @ truth),
        "normal tissue marked": ratio(weights @ (marked * (1 - tumour)), weights @ (patches * (1 - tumour))),
        "patch Brier score": ratio(weights @ error, weights @ patches),
        "patch calibration error": ratio(np.abs(weights @ bins).sum(axis=1), weights @ patches),
    }


def _froc(slides: Sequence[MapOfSlide], weights: FloatArray) -> dict[str, FloatArray]:
    """Sensitivity at each rate of false positives, and their mean: name -> (B,)."""
    normal = [place for place, slide in enumerate(slides) if slide.negative]
    false = np.concatenate([slides[place].detections for place in normal] or [np.zeros(0)])
    of_false = np.repeat(normal, [len(slides[place].detections) for place in normal]).astype(np.int64)
    lesions = np.concatenate([slide.lesions for slide in slides])
    of_lesion = np.repeat(np.arange(len(slides)), [len(slide.lesions) for slide in slides])
    order = np.argsort(-false)
    false, of_false = false[order], of_false[order]
    found = np.full((len(FALSE_POSITIVES), len(weights)), np.nan)
    for number, drawn in enumerate(weights):
        slides_without, all_lesions = drawn[normal].sum(), drawn[of_lesion].sum()
        if slides_without == 0 or all_lesions == 0:
            continue
        rate = np.cumsum(drawn[of_false]) / slides_without
        for place, allowed in enumerate(FALSE_POSITIVES):
            # the first detection that is one too many: the threshold lies above it
            too_many = int(np.searchsorted(rate, allowed, side="right"))
            limit = false[too_many] if too_many < len(false) else 0.0
            found[place, number] = drawn[of_lesion][lesions > limit].sum() / all_lesions
    names = [f"sensitivity at {allowed:g} false positives" for allowed in FALSE_POSITIVES]
    return {**dict(zip(names, found, strict=True)), "FROC score": found.mean(axis=0)}


def _ranking(slide: MapOfSlide) -> tuple[float | None, float | None]:
    """Patch AUC and average precision of one slide; None where all patches are on one side."""
    if not slide.inside.any() or slide.inside.all():
        return None, None
    return auc(slide.inside, slide.probability), average_precision(slide.inside, slide.probability)
