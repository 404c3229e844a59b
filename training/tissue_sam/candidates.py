"""Segmenters that are compared, by name: those of the engine, and what was tried beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from partitions import Divided, Found, MaskList, Nested, Statistics
from rivals import SCALES
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from sam_mil_engine.segment.automatic import AutomaticSegmenter
from sam_mil_engine.segment.filled import cover, without_duplicates
from sam_mil_engine.segment.regions import StainRegionSegmenter
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.segment.stain_statistics import with_neighbours
from sam_mil_engine.segment.tissue_regions import beside
from sam_mil_engine.segment.tissue_sam.encoder import SIDE, Trunk, normalised
from sam_mil_engine.segment.tissue_sam.merging import embedding_statistics
from sam_mil_engine.settings import SegmentSettings

Segment = Callable[[Divided], Found]
By = Callable[[Divided, int], Statistics]
#: Superpixels, and numbers of groups: of today's default, and of finer cuts.
USUAL, FINER, FINEST = (500, (4, 8, 16, 32)), (800, (8, 16, 32, 64)), (1500, (8, 16, 32, 64, 128))
#: Principal components of features that are kept.
_COMPONENTS = 16


def untrained(trunk: Trunk) -> dict[str, Segment]:
    """What needs no weights of its own."""
    seen = trunk_statistics(trunk)
    return {
        "regions": _merged(USUAL, Divided.colours),
        "stain-regions": _merged(USUAL, Divided.stains),
        "stain-regions, 64 of 800": _merged(FINER, Divided.stains),
        "stain-regions, 128 of 1,500": _merged(FINEST, Divided.stains),
        "merged by EfficientNet, 64 of 800": _merged(FINER, seen),
        "merged by EfficientNet and stains, 64 of 800": _merged(FINER, with_stains(seen)),
        **{f"Felzenszwalb, scale {scale}": _felzenszwalb(scale) for scale in SCALES},
        "squares, 8 x 8": lambda divided: _squares(divided.image.tissue, 8),
    }


def merged_by(name: str, sam: Sam) -> dict[str, Segment]:
    """Regions merged on the embedding of a tissue-sam."""

    def alone(divided: Divided, superpixels: int) -> Statistics:
        labels, pairs = divided.parts(superpixels)
        return embedding_statistics(sam, divided.image.rgb, labels, pairs)

    return {
        f"merged by the embedding of {name}, 64 of 800": _merged(FINER, alone),
        f"tissue-regions of {name}, 64 of 800": _merged(FINER, with_stains(alone)),
    }


def asked_of(name: str, sam: Sam, settings: SegmentSettings) -> dict[str, Segment]:
    """What takes a decoder some hundred times: masks of a grid of points, these filled, regions made finer."""
    segmenter = AutomaticSegmenter(sam, name=name, version="", settings=settings)
    last: list[tuple[Divided, Segments]] = []

    def own(divided: Divided) -> Segments:
        if not last or last[0][0] is not divided:
            last[:] = [(divided, without_duplicates(segmenter.segment(divided.image)))]
        return last[0][1]

    def filled(divided: Divided) -> Found:
        regions = StainRegionSegmenter(SegmentSettings(superpixels=FINER[0], cuts=FINER[1]))
        return _mask_list(cover(own(divided), regions.segment(divided.image), divided.image.tissue))

    return {
        name: lambda divided: _mask_list(own(divided)),
        f"{name}, filled": filled,
        f"stain-regions refined by {name}": lambda divided: _refined(sam, divided),
    }


def whole(segmenter: Any) -> Segment:
    """A segmenter of the engine as it is."""
    return lambda divided: _mask_list(segmenter.segment(divided.image))


def with_stains(by: By) -> By:
    """Half of what ``by`` tells, half of the stains."""

    def run(divided: Divided, superpixels: int) -> Statistics:
        return beside(by(divided, superpixels), divided.stains(superpixels))

    return run


def trunk_statistics(trunk: Trunk) -> By:
    """Principal components of EfficientNet-Lite0's features of strides 8 and 16 in every superpixel."""

    @torch.inference_mode()
    def run(divided: Divided, superpixels: int) -> Statistics:
        labels, pairs = divided.parts(superpixels)
        levels = trunk(normalised(_scaled(divided.image.rgb)))
        rows = beside(*(_means(level[0].numpy(), labels) for level in levels[1:3]))
        left, strength, _ = np.linalg.svd(rows, full_matrices=False)
        return with_neighbours(left[:, :_COMPONENTS] * strength[:_COMPONENTS], pairs, share=0.5)

    return run


def _scaled(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    zoom = SIDE / max(rgb.shape[:2])
    height, width = (max(32, round(side * zoom / 32) * 32) for side in rgb.shape[:2])
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)


def _means(maps: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Statistics:
    """Maps (C, h', w') -> their means in superpixels (n, C)."""
    inside = labels >= 0
    flat = labels[inside]
    size = np.bincount(flat)
    at_pixels = (cv2.resize(one, labels.shape[::-1], interpolation=cv2.INTER_LINEAR)[inside] for one in maps)
    return np.stack([np.bincount(flat, weights=values) / size for values in at_pixels], axis=1)


def _merged(how: tuple[int, Sequence[int]], by: By) -> Segment:
    return lambda divided: divided.nested(*how, lambda superpixels: by(divided, superpixels))


def _mask_list(segments: Segments) -> MaskList:
    return MaskList([segments.mask(number) for number in range(len(segments))], segments.size_raster[::-1])


def _refined(sam: Sam, divided: Divided) -> MaskList:
    """``stain-regions`` whose boxes are given to the decoder; its answer counts where it agrees with the region."""
    image = divided.image
    regions = StainRegionSegmenter(SegmentSettings(superpixels=FINER[0], cuts=FINER[1])).segment(image)
    predictor = SamPredictor(sam)
    predictor.set_image(image.rgb)
    found = []
    for number, (x, y, width, height) in enumerate(regions.boxes_raster.tolist()):
        box = np.array([x, y, x + width, y + height], dtype=float)
        answer = predictor.predict(box=box, multimask_output=False)[0][0] & image.tissue
        mask = regions.mask(number)
        agrees = np.count_nonzero(answer & mask) > 0.5 * np.count_nonzero(answer | mask)
        found.append(answer if agrees else mask)
    return MaskList(found, image.tissue.shape)


def _felzenszwalb(scale: int) -> Segment:
    from skimage.segmentation import felzenszwalb

    def run(divided: Divided) -> Nested:
        labels = felzenszwalb(divided.image.rgb, scale=scale, sigma=0.8, min_size=60)
        return _single(np.where(divided.image.tissue, labels, -1))

    return run


def _squares(tissue: Any, count: int) -> Nested:
    """The trivial answer: the image in equal squares."""
    rows, columns = (np.arange(side) * count // side for side in tissue.shape)
    return _single(np.where(tissue, rows[:, None] * count + columns[None, :], -1))


def _single(labels: npt.NDArray[Any]) -> Nested:
    known, numbers = np.unique(labels, return_inverse=True)
    parts = numbers.reshape(labels.shape).astype(np.int64) - int(known[0] < 0)
    return Nested(parts, [np.arange(int(parts.max()) + 1)])
