"""Prompts, regions and their embeddings, for the Prompts dock. No Qt, no napari."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from sam_mil_engine.errors import SegmentError
from sam_mil_engine.geometry import Frame
from sam_mil_engine.models.registry import available
from sam_mil_engine.progress import ProgressCallback, silent

from ..background.worker import call_in_worker
from .sam_calls import answer, embed, identify

if TYPE_CHECKING:
    from sam_mil_engine.slide.slide import Slide

Bounds = tuple[float, float, float, float]
#: Longest side of the embedded image, in pixels: the input size of SAM's image encoder.
MAX_SIDE = 1024
#: Most embeddings that are cached for a slide. One of ViT-H takes 4 MB.
MAX_REGIONS = 16
#: A region is used for views whose pixels are at most this much finer.
_MAX_MAGNIFICATION = 1.5


@dataclass(frozen=True, slots=True)
class Prompt:
    """One click (one point) or one box (two opposite corners), in level-0 pixels."""

    kind: Literal["positive", "negative", "box"]
    points_px0: tuple[tuple[float, float], ...]


class PromptHistory:
    """The prompts of one segment, with undo and redo."""

    def __init__(self) -> None:
        self.prompts: tuple[Prompt, ...] = ()
        self._past: list[tuple[Prompt, ...]] = []
        self._future: list[tuple[Prompt, ...]] = []

    def add(self, prompt: Prompt) -> None:
        """Add a prompt. A new box replaces the old one."""
        kept = tuple(one for one in self.prompts if prompt.kind != "box" or one.kind != "box")
        self._change((*kept, prompt))

    def clear(self) -> None:
        """Remove all prompts. This can be undone."""
        if self.prompts:
            self._change(())

    def undo(self) -> None:
        """Undo the last change."""
        if self._past:
            self._future.append(self.prompts)
            self.prompts = self._past.pop()

    def redo(self) -> None:
        """Redo the change that was undone last."""
        if self._future:
            self._past.append(self.prompts)
            self.prompts = self._future.pop()

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to undo."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a change to redo."""
        return bool(self._future)

    def _change(self, prompts: tuple[Prompt, ...]) -> None:
        self._past.append(self.prompts)
        self._future.clear()
        self.prompts = prompts


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a slide that a SAM has embedded.

    Attributes
    ----------
    bounds_px0
        Left, top, right, bottom.
    frame, size_raster
        The frame of the embedded image, its width and height.
    sam
        Name and version of the SAM.
    embedding
        The embedding, pickled for the worker process.
    """

    bounds_px0: Bounds
    frame: Frame
    size_raster: tuple[int, int]
    sam: tuple[str, str]
    embedding: bytes = field(repr=False)

    def covers(self, points_px0: npt.ArrayLike, downsample: float, sam: tuple[str, str]) -> bool:
        """Whether it contains all points, is fine enough, and is from the same SAM."""
        fine = max(self.frame.downsample) <= _MAX_MAGNIFICATION * max(downsample, 1.0)
        return fine and sam == self.sam and _contains(self.bounds_px0, points_px0)


class RegionCache:
    """The cached regions of one slide, the most recently used last."""

    def __init__(self) -> None:
        self._kept: list[Region] = []

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, points_px0: npt.ArrayLike, downsample: float, sam: tuple[str, str]) -> Region | None:
        """Return the most recently used region that covers the points, or None."""
        for region in reversed(self._kept):
            if region.covers(points_px0, downsample, sam):
                self._kept.remove(region)
                self._kept.append(region)
                return region
        return None

    def keep(self, region: Region) -> None:
        """Add a region. If the cache is full, drop the least recently used one."""
        self._kept = [*self._kept, region][-MAX_REGIONS:]


@dataclass(frozen=True, slots=True)
class Answer:
    """Masks (M, h, w) on the image of a region, the best first, and SAM's estimates of their IoU (M,)."""

    region: Region
    masks: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float32]


def sams_on_disk() -> list[str]:
    """Return the names of the SAMs on this computer: published SAMs, the largest first, then added ones."""
    return [card.name for card in available("segmenter") if card.prompts and card.on_disk]


def view_bounds(bounds_px0: Bounds, size_px0: tuple[int, int]) -> Bounds:
    """Return the part of the slide in view, extended to a coarse grid, so that small pans do not change it.

    Raises
    ------
    SegmentError
        If the slide is not in view.
    """
    left, top, right, bottom = bounds_px0
    width, height = size_px0
    step = 2 ** max(0, math.floor(math.log2(max(right - left, bottom - top, 1.0) / 16)))
    x0, y0 = max(0, math.floor(left / step) * step), max(0, math.floor(top / step) * step)
    x1, y1 = min(width, math.ceil(right / step) * step), min(height, math.ceil(bottom / step) * step)
    if x0 >= x1 or y0 >= y1:
        raise SegmentError("the slide is not in view", hint="Move back to the slide, then click on it")
    return x0, y0, x1, y1


def embed_view(
    slide: Slide,
    regions: RegionCache,
    view_px0: Bounds,
    *,
    sam: str,
    prompts: tuple[Prompt, ...] = (),
    progress: ProgressCallback = silent,
) -> Region:
    """Return a region that covers the prompts. If none is cached, embed the view and cache it.

    Raises
    ------
    SegmentError
        If the SAM cannot be loaded, the slide is not in view, or the prompts do not lie in the view.
    """
    identity = call_in_worker(identify, sam, progress=progress)
    bounds = view_bounds(view_px0, slide.info.size_px0)
    points = [point for prompt in prompts for point in prompt.points_px0]
    downsample = max(bounds[2] - bounds[0], bounds[3] - bounds[1]) / MAX_SIDE
    region = regions.find(points or [bounds[:2], bounds[2:]], downsample, identity)
    if region is not None:
        return region
    if not _contains(bounds, points):
        raise SegmentError(
            "a prompt lies outside the view", hint="Clear the prompts, or zoom out until all are in view"
        )
    image, frame = slide.read_image(bounds_px0=bounds, max_side=MAX_SIDE)
    embedding = call_in_worker(embed, sam, image, progress=progress)
    region = Region(
        bounds_px0=bounds,
        frame=frame,
        size_raster=(image.shape[1], image.shape[0]),
        sam=identity,
        embedding=embedding,
    )
    regions.keep(region)
    return region


def answer_prompts(
    slide: Slide,
    regions: RegionCache,
    prompts: tuple[Prompt, ...],
    view_px0: Bounds,
    *,
    sam: str,
    progress: ProgressCallback = silent,
) -> Answer:
    """Predict masks for the prompts. If no cached region covers them, embed the view first.

    Raises
    ------
    SegmentError
        If the SAM cannot be loaded, or the prompts do not lie in the view.
    """
    region = embed_view(slide, regions, view_px0, sam=sam, prompts=prompts, progress=progress)
    asked = _arrays(prompts, region.frame)
    masks, scores = call_in_worker(answer, sam, region.embedding, *asked, progress=progress)
    return Answer(region, masks, scores)


def _contains(bounds_px0: Bounds, points_px0: npt.ArrayLike) -> bool:
    """Whether all points lie within the bounds."""
    points = np.asarray(points_px0, dtype=np.float64).reshape(-1, 2)
    left, top, right, bottom = bounds_px0
    return bool(((points >= (left, top)) & (points <= (right, bottom))).all())


def _arrays(
    prompts: tuple[Prompt, ...], frame: Frame
) -> tuple[npt.NDArray[np.float64] | None, list[int] | None, npt.NDArray[np.float64] | None]:
    """Return points, labels and box in pixels of the image, in the form that the predictor takes."""
    clicks = [prompt for prompt in prompts if prompt.kind != "box"]
    boxes = [frame.from_px0(prompt.points_px0) for prompt in prompts if prompt.kind == "box"]
    box = np.concatenate([boxes[0].min(axis=0), boxes[0].max(axis=0)]) if boxes else None
    if not clicks:
        return None, None, box
    points = frame.from_px0([prompt.points_px0[0] for prompt in clicks])
    return points, [int(prompt.kind == "positive") for prompt in clicks], box
