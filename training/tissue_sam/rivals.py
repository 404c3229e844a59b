"""Those that answer prompts beside the model: nested regions, Felzenszwalb's segments, and trivial answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from measures import iou

from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.image import SegmentationImage
from sam_mil_engine.segment.predictor import SamPrompter
from sam_mil_engine.segment.regions import RegionSegmenter
from sam_mil_engine.segment.segmenter import Segmenter

Mask = npt.NDArray[np.bool_]
Rgb = npt.NDArray[np.uint8]
#: Felzenszwalb's ``scale`` three times, for images of about 700 pixels.
SCALES = (200, 800, 3000)


class Rival(Protocol):
    """Takes an image, then prompts on it; answers are masks (h, w), the one it thinks best first."""

    def look(self, rgb: Rgb) -> None:
        """Take an image."""
        ...

    def click(self, points: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> list[Mask]:
        """Points (P, 2) x, y with labels (P,), 1 inside and 0 outside."""
        ...

    def box(self, box: npt.NDArray[np.float64]) -> list[Mask]:
        """Left, top, right, bottom."""
        ...


@dataclass
class Model:
    """A SAM."""

    prompter: SamPrompter

    def look(self, rgb: Rgb) -> None:
        self.prompter.set_image(rgb)

    def click(self, points: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> list[Mask]:
        return list(self.prompter.predict(points, labels)[0])

    def box(self, box: npt.NDArray[np.float64]) -> list[Mask]:
        return list(self.prompter.predict(box_raster=box)[0])


@dataclass
class Masks:
    """Masks that were found without a prompt, of which a prompt chooses those that fit it best."""

    find: Callable[[Rgb], list[Mask]]

    def look(self, rgb: Rgb) -> None:
        self.masks = self.find(rgb)
        self.size = rgb.shape[:2]

    def click(self, points: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> list[Mask]:
        x, y = points.astype(int).T
        right = [int((mask[y, x] == (labels == 1)).sum()) for mask in self.masks]
        best = max(right, default=0)
        fitting = [mask for mask, number in zip(self.masks, right, strict=True) if number == best]
        return sorted(fitting, key=np.count_nonzero)[:3] or [np.zeros(self.size, bool)]

    def box(self, box: npt.NDArray[np.float64]) -> list[Mask]:
        filled = filled_box(self.size, box)
        return [max(self.masks, key=lambda mask: iou(mask, filled), default=np.zeros(self.size, bool))]


@dataclass
class Trivial:
    """An answer that looks at the prompt alone: a disc of ``radius`` pixels (None: the whole image), a box."""

    radius: float | None
    ellipse: bool = False

    def look(self, rgb: Rgb) -> None:
        self.size = rgb.shape[:2]

    def click(self, points: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> list[Mask]:
        if self.radius is None:
            return [np.ones(self.size, bool)]
        rows, columns = np.ogrid[: self.size[0], : self.size[1]]
        found = np.zeros(self.size, bool)
        for x, y in points[labels == 1]:
            found |= (columns - x) ** 2 + (rows - y) ** 2 <= self.radius**2
        return [found]

    def box(self, box: npt.NDArray[np.float64]) -> list[Mask]:
        if self.radius is None:
            return [np.ones(self.size, bool)]
        if not self.ellipse:
            return [filled_box(self.size, box)]
        rows, columns = np.ogrid[: self.size[0], : self.size[1]]
        (x, y), (w, h) = (box[:2] + box[2:]) / 2, np.maximum(box[2:] - box[:2], 1) / 2
        return [((columns + 0.5 - x) / w) ** 2 + ((rows + 0.5 - y) / h) ** 2 <= 1]


def filled_box(size: tuple[int, int], box: npt.NDArray[np.float64]) -> Mask:
    """(h, w) with everything inside the box."""
    found = np.zeros(size, bool)
    left, top, right, bottom = np.rint(box).astype(int)
    found[top:bottom, left:right] = True
    return found


def remembered(find: Callable[[Rgb], list[Mask]]) -> Callable[[Rgb], list[Mask]]:
    """Find the masks of an image once, however often they are asked for."""
    known: dict[bytes, list[Mask]] = {}

    def look_up(rgb: Rgb) -> list[Mask]:
        name = hashlib.sha256(rgb.tobytes()).digest()
        if name not in known:
            known[name] = find(rgb)
        return known[name]

    return look_up


def all_tissue(rgb: Rgb, frame: Frame = Frame()) -> SegmentationImage:  # noqa: B008  (it is frozen)
    """An image that is tissue throughout."""
    return SegmentationImage(rgb, frame, np.ones(rgb.shape[:2], bool))


def masks_of(segmenter: Segmenter) -> Callable[[Rgb], list[Mask]]:
    """All masks of a segmenter on an image that is tissue throughout."""

    @remembered
    def find(rgb: Rgb) -> list[Mask]:
        segments = segmenter.segment(all_tissue(rgb))
        return [segments.mask(number) for number in range(len(segments))]

    return find


def felzenszwalb_of(scale: int) -> Callable[[Rgb], list[Mask]]:
    """Felzenszwalb and Huttenlocher's segments (2004) at one scale."""
    from skimage.segmentation import felzenszwalb

    @remembered
    def find(rgb: Rgb) -> list[Mask]:
        labels = felzenszwalb(rgb, scale=scale, sigma=0.8, min_size=60)
        return [labels == number for number in range(int(labels.max()) + 1)]

    return find


#: Of every scale.
FELZENSZWALB = {f"Felzenszwalb, scale {scale}": felzenszwalb_of(scale) for scale in SCALES}
#: The nested regions as they are.
NESTED = masks_of(RegionSegmenter())


def felzenszwalb_masks(rgb: Rgb) -> list[Mask]:
    """Felzenszwalb's segments of all scales together."""
    return [mask for find in FELZENSZWALB.values() for mask in find(rgb)]
