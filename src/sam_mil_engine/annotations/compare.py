"""How well segments and patch scores agree with what a person outlined (methods §3; the paper's Figure 6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..mil.scores import GroupScores, SlideScores
from ..segment.groups import Groups
from ..segment.segments import Segments
from .model import Annotation, union_px0
from .patches import PatchAgreement, patch_agreement
from .raster import area_outside, rasterise

Vector = npt.NDArray[np.float64]
Row = dict[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class Cover:
    """The set of segments that together match the annotation best, found greedily.

    Attributes
    ----------
    segments
        Numbers of the segments in the order in which they were taken, each for the largest gain in IoU.
    iou, purity, recall
        Of the union of these segments against the annotation.
    """

    segments: tuple[int, ...]
    iou: float
    purity: float
    recall: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """L segments (or the segments of L groups) against one annotated area, in pixels of the segmentation image.

    Attributes
    ----------
    classification
        Class or classes of the annotation, for the table.
    segment
        (L,) number of every segment.
    area_raster
        (L,) pixels of every segment.
    purity
        (L,) share of the segment's pixels inside the annotation.
    recall
        (L,) share of the annotation's area in the segment.
    iou
        (L,) intersection over union of the two.
    annotation_raster
        Area of the annotation in raster pixels, with what lies beyond the image.
    cover
        The best set of segments.
    pixel_px0
        Area of a raster pixel in level-0 pixels.
    patches
        Agreement of the patches, where scores were given.
    group_scores, classes
        Scores of the same L groups and the names of the classes, where scores and groups were given.
    """

    classification: str
    segment: npt.NDArray[np.int64]
    area_raster: npt.NDArray[np.int64]
    purity: Vector
    recall: Vector
    iou: Vector
    annotation_raster: float
    cover: Cover
    pixel_px0: float = 1.0
    patches: PatchAgreement | None = None
    group_scores: GroupScores | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.segment)

    def to_rows(self) -> list[Row]:
        """One dictionary per segment, ready for a CSV file."""
        chosen = set(self.cover.segments)
        rows: list[Row] = []
        for k in range(len(self)):
            row: Row = {
                "annotation": self.classification,
                "segment": int(self.segment[k]),
                "area_raster": int(self.area_raster[k]),
                "purity": float(self.purity[k]),
                "recall": float(self.recall[k]),
                "iou": float(self.iou[k]),
                "in_cover": int(self.segment[k]) in chosen,
            }
            if self.group_scores is not None:
                row["attention_mass"] = float(self.group_scores.attention_mass[k])
                for c, name in enumerate(self.classes):
                    row[f"mean_p_{name}"] = float(self.group_scores.mean_probability[k, c])
            rows.append(row)
        return rows

    def summary(self) -> Row:
        """Return the metrics of the whole slide: the best segment, the best set, and the patch-level AUCs."""
        best = int(self.iou.argmax()) if len(self) else None
        return {
            "annotation": self.classification,
            "segments": len(self),
            "annotation_raster": self.annotation_raster,
            "best_segment": None if best is None else int(self.segment[best]),
            "best_iou": None if best is None else float(self.iou[best]),
            "cover_segments": len(self.cover.segments),
            "cover_iou": self.cover.iou,
            "cover_purity": self.cover.purity,
            "cover_recall": self.cover.recall,
            "attention_auc": None if self.patches is None else self.patches.attention_auc,
            "probability_auc": None if self.patches is None else self.patches.probability_auc,
        }


def compare_groups(
    segments: Segments,
    annotations: Sequence[Annotation],
    *,
    groups: Groups | None = None,
    scores: SlideScores | None = None,
    patch_size_px0: tuple[float, float] | None = None,
    positive: str | None = None,
) -> Comparison:
    """Compare every segment with the area that the annotations cover together.

    Parameters
    ----------
    segments
        The masks of a slide.
    annotations
        Outlines of one class; :func:`~sam_mil_engine.annotations.by_class` sorts a file's by class.
    groups
        With them, only segments that became a group are compared, in the order of the groups.
    scores, patch_size_px0
        With both, the patches are compared too: their width and height in level-0 pixels.
    positive
        The class of ``scores`` that the annotation stands for; the last one if None.

    Raises
    ------
    DataError
        If there is no annotation, if groups or scores are not of these segments, if the patch size is missing, or
        if ``positive`` is not a class of the scores.
    """
    if not annotations:
        raise DataError("there is no annotation to compare with", hint="Choose a class that the file has")
    if scores is not None and patch_size_px0 is None:
        raise DataError("patch scores cannot be placed without the patch size", where="patch_size_px0")
    area = union_px0(annotations)
    numbers = _numbers(segments, groups)
    target = rasterise(area, frame=segments.frame, size_raster=segments.size_raster)
    outside = area_outside(area, frame=segments.frame, size_raster=segments.size_raster)
    total = float(target.sum()) + outside
    sizes = segments.area[numbers]
    inside = np.array(
        [int((crop & part).sum()) for crop, part in _crops(segments, numbers, target)], dtype=np.int64
    )
    return Comparison(
        classification=" + ".join(dict.fromkeys(item.classification or "unclassified" for item in annotations)),
        segment=numbers,
        area_raster=sizes,
        purity=inside / np.maximum(sizes, 1),
        recall=inside / total if total else np.zeros(len(numbers)),
        iou=inside / np.maximum(sizes + total - inside, 1),
        annotation_raster=total,
        cover=_greedy_cover(segments, numbers, inside, target, total),
        pixel_px0=float(segments.frame.area_to_px0(1.0)),
        patches=None
        if scores is None or patch_size_px0 is None
        else patch_agreement(scores, area, size_px0=patch_size_px0, positive=positive),
        group_scores=_group_scores(scores, groups),
        classes=() if scores is None else scores.classes,
    )


def _numbers(segments: Segments, groups: Groups | None) -> npt.NDArray[np.int64]:
    if groups is None:
        return np.arange(len(segments), dtype=np.int64)
    numbers = groups.segment_of_group.astype(np.int64)
    if len(numbers) and int(numbers.max()) >= len(segments):
        raise DataError(f"a group comes from segment {numbers.max()}, there are {len(segments)} segments")
    return numbers


def _group_scores(scores: SlideScores | None, groups: Groups | None) -> GroupScores | None:
    if scores is None or groups is None or scores.groups is None:
        return None
    if len(scores.groups.attention_mass) != len(groups):
        raise DataError(f"{len(scores.groups.attention_mass)} groups were scored, there are {len(groups)}")
    return scores.groups


def _crops(
    segments: Segments, numbers: npt.NDArray[np.int64], image: npt.NDArray[np.bool_]
) -> Iterable[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    """Every mask in its box, with the same box of ``image`` (a view)."""
    for number in numbers:
        x, y, width, height = segments.boxes_raster[number]
        yield segments.crops[number], image[y : y + height, x : x + width]


def _greedy_cover(
    segments: Segments,
    numbers: npt.NDArray[np.int64],
    inside: npt.NDArray[np.int64],
    target: npt.NDArray[np.bool_],
    total: float,
) -> Cover:
    """Take the segment that raises the IoU of the union most, until none does."""
    candidates = numbers[inside > 0]
    # Pixels that each candidate would add, and those of them inside the target.
    added, hits = segments.area[candidates].astype(np.int64), inside[inside > 0].copy()
    left, top, width, height = segments.boxes_raster[candidates].T.astype(np.int64)
    covered = np.zeros_like(target)
    chosen: list[int] = []
    hit, size, iou = 0, 0, 0.0
    while (hits > 0).any():
        # A segment without new pixels inside can only lower the IoU of any later union.
        gains = np.where(hits > 0, (hit + hits) / (total + size + added - hit - hits), -1.0)
        best = int(gains.argmax())
        if not gains[best] > iou:
            break
        iou, hit, size = float(gains[best]), hit + int(hits[best]), size + int(added[best])
        ((crop, done),) = _crops(segments, candidates[best : best + 1], covered)
        done |= crop
        chosen.append(int(candidates[best]))
        near = (left < left[best] + width[best]) & (left + width > left[best]) & (hits > 0)
        near &= (top < top[best] + height[best]) & (top + height > top[best])
        changed = np.flatnonzero(near)
        crops = zip(
            _crops(segments, candidates[changed], target),
            _crops(segments, candidates[changed], covered),
            strict=True,
        )
        for k, ((crop, part), (_, done)) in zip(changed.tolist(), crops, strict=True):
            new = crop & ~done
            added[k], hits[k] = np.count_nonzero(new), np.count_nonzero(new & part)
    return Cover(
        segments=tuple(chosen), iou=iou, purity=hit / size if size else 0.0, recall=hit / total if total else 0.0
    )
