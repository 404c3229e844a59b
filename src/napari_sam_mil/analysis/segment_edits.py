"""Add, delete, merge and rename segments, and update groups and prediction. No Qt, no napari.

Patch features do not change: only the groups, their mean features and the prediction are computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sam_mil_engine.errors import SegmentError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.progress import Progress, ProgressCallback, silent
from sam_mil_engine.segment.packed import PackedMasks
from sam_mil_engine.segment.segments import Segments

from ..background.worker import call_in_worker
from .classifier import predict_with_model
from .model import Analysis
from .project_settings import recorded_settings

#: Samples along each side of a pixel. Half of them must lie in the mask.
_SAMPLES = 4


def resample(mask: npt.NDArray[np.bool_], frame: Frame, segments: Segments) -> npt.NDArray[np.bool_]:
    """Resample a mask (h, w) in ``frame`` to the segmented image (height, width), to pixels at least half inside.

    Raises
    ------
    SegmentError
        If no pixel is left.
    """
    width, height = segments.size_raster
    result = np.zeros((height, width), dtype=bool)
    if mask.any():
        x, y, w, h = Segments.tight_box(mask)
        corners = segments.frame.from_px0(frame.to_px0([(x, y), (x + w, y + h)]))
        left, top = np.clip(np.floor(corners[0]), 0, (width, height)).astype(int)
        right, bottom = np.clip(np.ceil(corners[1]), 0, (width, height)).astype(int)
        columns = (np.arange(left * _SAMPLES, right * _SAMPLES) + 0.5) / _SAMPLES
        rows = (np.arange(top * _SAMPLES, bottom * _SAMPLES) + 0.5) / _SAMPLES
        source_x = _pixel_numbers(columns, 0, segments.frame, frame)
        source_y = _pixel_numbers(rows, 1, segments.frame, frame)
        inside_x = (source_x >= 0) & (source_x < mask.shape[1])
        inside_y = (source_y >= 0) & (source_y < mask.shape[0])
        fine = np.zeros((len(rows), len(columns)), dtype=bool)
        fine[np.ix_(inside_y, inside_x)] = mask[np.ix_(source_y[inside_y], source_x[inside_x])]
        share = fine.reshape(bottom - top, _SAMPLES, right - left, _SAMPLES).mean(axis=(1, 3))
        result[top:bottom, left:right] = share >= 0.5
    if not result.any():
        raise SegmentError(
            "the mask is smaller than a pixel of the segmented image, or lies outside it",
            hint="Segment something larger, inside the tissue",
        )
    return result


def _pixel_numbers(
    positions: npt.NDArray[np.float64], axis: int, frame: Frame, source: Frame
) -> npt.NDArray[np.int64]:
    """Convert positions along an axis of one image to pixel numbers of another image."""
    points = np.stack([positions, positions], axis=1)
    return np.floor(source.from_px0(frame.to_px0(points))[:, axis]).astype(np.int64)


def names_of(analysis: Analysis) -> tuple[str, ...]:
    """Return one name per segment; empty for segments without a name."""
    segments = analysis.processed.segments
    count = 0 if segments is None else len(segments)
    return analysis.names if len(analysis.names) == count else ("",) * count


def add_segment(
    analysis: Analysis,
    mask: npt.NDArray[np.bool_],
    frame: Frame,
    *,
    score: float,
    mpp: tuple[float, float] | None,
    name: str = "",
    progress: ProgressCallback = silent,
) -> Analysis:
    """Return the analysis with one more segment at the end: a mask in ``frame``, and SAM's estimate of its IoU."""
    segments = _segments(analysis)
    full = resample(mask, frame, segments)
    changed = _replace_segments(segments, range(len(segments)), [(full, score)])
    return _regroup(analysis, changed, (*names_of(analysis), name), mpp, progress)


def delete_segments(
    analysis: Analysis,
    numbers: Collection[int],
    *,
    mpp: tuple[float, float] | None,
    progress: ProgressCallback = silent,
) -> Analysis:
    """Return the analysis without these segments (numbers from 0)."""
    segments, names = _segments(analysis), names_of(analysis)
    kept = [number for number in range(len(segments)) if number not in set(numbers)]
    changed = _replace_segments(segments, kept, [])
    return _regroup(analysis, changed, tuple(names[number] for number in kept), mpp, progress)


def merge_segments(
    analysis: Analysis,
    numbers: Sequence[int],
    *,
    mpp: tuple[float, float] | None,
    progress: ProgressCallback = silent,
) -> Analysis:
    """Return the analysis with these segments replaced by their union, at the end.

    Raises
    ------
    SegmentError
        If there are fewer than two.
    """
    if len(set(numbers)) < 2:
        raise SegmentError("merging needs two segments", hint="Select them with Ctrl or Shift in the list")
    segments, names = _segments(analysis), names_of(analysis)
    union = np.logical_or.reduce([segments.mask(number) for number in numbers])
    score = float(segments.predicted_iou[list(numbers)].min())
    kept = [number for number in range(len(segments)) if number not in set(numbers)]
    name = next((names[number] for number in numbers if names[number]), "")
    changed = _replace_segments(segments, kept, [(union, score)])
    return _regroup(analysis, changed, (*(names[number] for number in kept), name), mpp, progress)


def rename_segment(analysis: Analysis, number: int, name: str) -> Analysis:
    """Return the analysis with a new name for one segment."""
    names = list(names_of(analysis))
    names[number] = name.strip()
    return replace(analysis, names=tuple(names))


def save_edits(analysis: Analysis, *, progress: ProgressCallback = silent) -> str:
    """Write the edited segments into the bag of the slide; return a message for the user.

    Raises
    ------
    SamMilError
        If the project cannot be written, or its bag has changed in the meantime.
    """
    from sam_mil_engine.process.editing import save_edited_segments

    progress(Progress("save", 0, 1, unit="bags"))
    kept = save_edited_segments(analysis.processed, names=names_of(analysis) if any(names_of(analysis)) else ())
    progress(Progress("save", 1, 1, unit="bags"))
    was = "" if kept is None else f"; the original segments are in {kept.parent.parent.name}/{kept.parent.name}"
    return f"Saved in {analysis.processed.bag_path.name}{was}"


def _segments(analysis: Analysis) -> Segments:
    segments = analysis.processed.segments
    if segments is None:
        raise SegmentError(
            "the slide has no segments yet", hint="Press Segment or Segment/Classify in the Analyze dock"
        )
    return segments


def _replace_segments(
    segments: Segments, kept: Sequence[int], new: Sequence[tuple[npt.NDArray[np.bool_], float]]
) -> Segments:
    boxes = [tuple(segments.boxes_raster[number].tolist()) for number in kept]
    added = []
    for mask, _ in new:
        x, y, width, height = Segments.tight_box(mask)
        boxes.append((x, y, width, height))
        added.append(np.ascontiguousarray(mask[y : y + height, x : x + width]))
    scores, crops = [score for _, score in new], segments.crops
    return Segments.from_crops(
        crops.take(kept) + PackedMasks.of(added)
        if isinstance(crops, PackedMasks)
        else [*(crops[number] for number in kept), *added],
        boxes,
        frame=segments.frame,
        size_raster=segments.size_raster,
        predicted_iou=np.append(segments.predicted_iou[list(kept)], scores),
        stability=np.append(segments.stability[list(kept)], [1.0] * len(new)),
    )


def _regroup(
    analysis: Analysis,
    segments: Segments,
    names: tuple[str, ...],
    mpp: tuple[float, float] | None,
    progress: ProgressCallback,
) -> Analysis:
    processed, scores = analysis.processed, analysis.scores
    bag, grid = processed.bag, processed.grid
    progress(Progress("groups", 0, 2, unit="steps"))
    if bag is None or grid is None:
        return replace(analysis, processed=replace(processed, segments=segments), names=names)
    from sam_mil_engine.segment.membership import assign_groups

    rule = recorded_settings(processed.bag_path.parents[1]).groups.rule
    bag = bag.with_groups(assign_groups(segments, bag.coords_px0, grid.size_px0, rule=rule, mpp=mpp))
    progress(Progress("groups", 1, 2, unit="steps"))
    if analysis.model is not None:
        _, scores = call_in_worker(predict_with_model, analysis.model.path, bag, progress=progress)
    progress(Progress("groups", 2, 2, unit="steps"))
    changed = replace(processed, segments=segments, bag=bag, groups=None if bag.groups is None else len(bag.groups))
    return replace(analysis, processed=changed, scores=scores, names=names)
