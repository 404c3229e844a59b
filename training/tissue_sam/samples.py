"""What a step of the training sees: real masks at a random place and scale, or one of the images made before."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from cache import read as read_made
from drawing import SIDE, Drawn
from real_masks import SOURCES, components, read

Rgb = npt.NDArray[np.uint8]
#: Share of real masks; the others are what ``cache.make`` made.
_REAL = 0.5
#: Share of real images that are four beside each other, and share of images with nothing beyond an edge.
_FOUR, _CUT_OFF = 0.3, 0.15
#: Numbers of things from here on are the tissue between them; its pieces below this many pixels do not count.
_BETWEEN, _SMALLEST = 150, 1500


class Samples:
    """Draws images with their truth, turned and with other stains.

    Parameters
    ----------
    data
        Holds ``tissue_masks``.
    made
        Holds ``train-*.npz`` of ``cache.make``; more may be in the making.
    most
        Images a source, for a trial in small.
    """

    def __init__(self, data: Path, made: Path, *, most: int | None = None):
        self.sources = [(source, read(data / "tissue_masks", source, "train", most=most)) for source in SOURCES]
        self.made = made

    def draw(self, rng: np.random.Generator) -> Drawn:
        """One image of 512 px and its truth of parts, objects, regions, pieces."""
        if rng.random() < _REAL:
            found = self._real(rng)
        else:
            names = sorted(self.made.glob("train-?????.npz"))
            found = _mirrored(rng, read_made(names[int(rng.integers(len(names)))]))
        rgb, truth = with_other_stains(rng, found.rgb), found.truth.copy()
        if rng.random() < _CUT_OFF:
            end = 2 * int(rng.integers(SIDE // 4, SIDE // 2 - 8))
            rgb[end:], truth[:, end // 2 :] = 127, 0
        return Drawn(rgb, truth)

    def _real(self, rng: np.random.Generator) -> Drawn:
        if rng.random() > _FOUR:
            rgb, numbers, between = self._cut(rng, SIDE)
            nothing = np.zeros_like(numbers)
            return _as_truth(rgb, numbers, between, nothing)
        edge = 16 * int(rng.integers(10, 23))
        quarters = [self._cut(rng, SIDE) for _ in range(4)]
        down, right = (axis >= edge for axis in np.ogrid[:SIDE, :SIDE])
        which = 2 * down + right
        rgb, numbers, between = (np.choose(_like(which, one[0]), one) for one in zip(*quarters, strict=True))
        # a gland that a border cuts is two things
        numbers = _apart(numbers * 4 + which * (numbers > 0))
        return _as_truth(rgb, numbers, between, which.astype(np.int32) + 1)

    def _cut(self, rng: np.random.Generator, side: int) -> tuple[Rgb, npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        """A random square of a real image at a random scale, mirrored where it is larger than the image."""
        source, images = self.sources[int(rng.choice(len(SOURCES), p=[source.share for source in SOURCES]))]
        image = images[int(rng.integers(len(images)))]
        span = round(float(np.exp(rng.uniform(*np.log(source.spans)))))
        rows, columns = (_mirror_index(rng, length, span) for length in image.numbers.shape)
        rgb = image.rgb[np.ix_(rows, columns)]
        numbers = image.numbers[np.ix_(rows, columns)]
        if rng.random() < 0.5:
            rgb, numbers = rgb.transpose(1, 0, 2), numbers.T
        rgb = cv2.resize(np.ascontiguousarray(rgb), (side, side), interpolation=_method(side / span))
        numbers = cv2.resize(
            np.ascontiguousarray(numbers).astype(np.float32), (side, side), interpolation=cv2.INTER_NEAREST
        ).astype(np.int32)
        return rgb, _apart(numbers), np.full(numbers.shape, image.whole)


def _mirror_index(rng: np.random.Generator, length: int, span: int) -> npt.NDArray[np.int64]:
    """``span`` consecutive places of a row of ``length`` that goes to and fro without end."""
    start = int(rng.integers(0, length - span + 1)) if span <= length else int(rng.integers(2 * length))
    places = (start + np.arange(span)) % (2 * length)
    found: npt.NDArray[np.int64] = np.where(places < length, places, 2 * length - 1 - places)
    return found[::-1] if rng.random() < 0.5 else found


def _method(zoom: float) -> int:
    return cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC if zoom < 2.5 else cv2.INTER_LINEAR


def _apart(numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Give what is connected and has one number a number of its own: the mirror makes two of one."""
    from skimage.measure import label

    found: npt.NDArray[np.int32] = label(numbers, background=0, connectivity=1).astype(np.int32)
    return found


def _as_truth(rgb: Rgb, numbers: npt.NDArray, between: npt.NDArray, regions: npt.NDArray) -> Drawn:
    """Things, the tissue between them, regions, and the whole, on the truth's grid."""
    objects = _largest(numbers, _BETWEEN - 1, smallest=96)
    rest = _largest(components((numbers == 0) & between), 100, smallest=_SMALLEST)
    objects = np.where(rest > 0, rest + _BETWEEN, objects)
    truth = np.stack([np.zeros_like(objects), objects, regions, np.ones_like(objects)])
    return Drawn(rgb, np.ascontiguousarray(truth[:, 1::2, 1::2].astype(np.uint8)))


def _largest(numbers: npt.NDArray[np.int32], most: int, *, smallest: int) -> npt.NDArray[np.int32]:
    size = np.bincount(numbers.ravel())
    size[0] = 0
    order = np.argsort(-size)[:most]
    order = order[size[order] >= smallest]
    lookup = np.zeros(len(size), np.int32)
    lookup[order] = np.arange(1, len(order) + 1)
    found: npt.NDArray[np.int32] = lookup[numbers]
    return found


def _like(which: npt.NDArray, one: npt.NDArray) -> npt.NDArray:
    return np.broadcast_to(which[..., None], one.shape) if one.ndim == 3 else which


def _mirrored(rng: np.random.Generator, drawn: Drawn) -> Drawn:
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    rgb, truth = np.rot90(drawn.rgb, turns), np.rot90(drawn.truth, turns, axes=(1, 2))
    if flip:
        rgb, truth = rgb[:, ::-1], truth[:, :, ::-1]
    return Drawn(np.ascontiguousarray(rgb), np.ascontiguousarray(truth))


def with_other_stains(rng: np.random.Generator, rgb: Rgb) -> Rgb:
    """Change hue, strength and focus, as another laboratory and scanner would."""
    table = -np.log(np.maximum(np.arange(256), 1) / 255).astype(np.float32)
    mixing = (np.eye(3) + rng.normal(0, 0.07, (3, 3))) * np.exp(rng.normal(0, 0.2))
    density = table[rgb] @ mixing.astype(np.float32)
    found = np.exp(-np.clip(density, 0, 5.5)) * np.float32(255 * rng.uniform(0.92, 1.0))
    if rng.random() < 0.3:
        found = cv2.GaussianBlur(found, (0, 0), float(rng.uniform(0.4, 1.4)))
    changed: Rgb = np.clip(found, 0, 255).astype(np.uint8)
    return changed
