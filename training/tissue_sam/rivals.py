"""Those that answer prompts beside the model: nested regions, Felzenszwalb's segments, and trivial answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.image import SegmentationImage
from sam_mil_engine.segment.predictor import SamPrompter
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
        self.masks = np.stack(self.find(rgb) or [np.zeros(rgb.shape[:2], bool)])
        self.areas = np.count_nonzero(self.masks, axis=(1, 2))

    def click(self, points: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> list[Mask]:
        x, y = points.astype(int).T
        right = (self.masks[:, y, x] == (labels == 1)).sum(axis=1)
        fitting = np.flatnonzero(right == right.max())
        return list(self.masks[fitting[np.argsort(self.areas[fitting], kind="stable")[:3]]])

    def box(self, box: npt.NDArray[np.float64]) -> list[Mask]:
        left, top, right, bottom = np.rint(box).astype(int)
        common = np.count_nonzero(self.masks[:, top:bottom, left:right], axis=(1, 2))
        joint = self.areas + (right - left) * (bottom - top) - common
        return [self.masks[int(np.argmax(common / joint))]]


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


def all_tissue(rgb: Rgb, frame: Frame = Frame()) -> SegmentationImage:  # noqa: B008  (it is frozen)
    """An image that is tissue throughout."""
    return SegmentationImage(rgb, frame, np.ones(rgb.shape[:2], bool))


def masks_on_tissue(segmenter: Segmenter) -> Callable[[Rgb], list[Mask]]:
    """All masks of a segmenter on an image that is tissue throughout."""

    def find(rgb: Rgb) -> list[Mask]:
        segments = segmenter.segment(all_tissue(rgb))
        return [segments.mask(number) for number in range(len(segments))]

    return find


def felzenszwalb_of(scale: int) -> Callable[[Rgb], list[Mask]]:
    """Felzenszwalb and Huttenlocher's segments (2004) at one scale."""
    from skimage.segmentation import felzenszwalb

    def find(rgb: Rgb) -> list[Mask]:
        labels = felzenszwalb(rgb, scale=scale, sigma=0.8, min_size=60)
        return [labels == number for number in range(int(labels.max()) + 1)]

    return find


#: Of every scale.
FELZENSZWALB = {f"Felzenszwalb, scale {scale}": felzenszwalb_of(scale) for scale in SCALES}


def felzenszwalb_masks(rgb: Rgb) -> list[Mask]:
    """Felzenszwalb's segments of all scales together."""
    return [mask for find in FELZENSZWALB.values() for mask in find(rgb)]
