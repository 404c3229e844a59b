"""Annotated images on which segmenters are compared: CAMELYON, GlaS, held-out parts of the training's sources."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from measures import SMALLEST, Mask, objects, read_glas
from mixtures import Tiles, compose
from real_masks import SOURCES, read

from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.image import SegmentationImage, tissue_mask
from sam_mil_engine.settings import tissue_preset
from sam_mil_engine.slide.tissue import find_tissue_in_image

#: Pixels of a lesion below which a slide's image cannot show it, and of a nucleus below which it is not asked for.
_LESION, _NUCLEUS = 50, 80
_GLAS_STEP, _COMPOSITES = 6, 12
#: Things asked for on one image: the largest and, of the others, evenly by size.
ASKED = 6


@dataclass(frozen=True, slots=True)
class Example:
    """An image with an annotation.

    Attributes
    ----------
    image
        What a segmenter takes.
    mask
        (h, w) bool: what is annotated.
    things
        Its things, each (h, w).
    """

    image: SegmentationImage
    mask: Mask
    things: list[Mask]

    def asked(self) -> list[Mask]:
        """Some of the things, large and small."""
        order = sorted(self.things, key=np.count_nonzero, reverse=True)
        places = np.unique(np.linspace(0, len(order) - 1, ASKED).round().astype(int)) if order else []
        return [order[place] for place in places]


def crops(data: Path) -> list[Example]:
    """CAMELYON crops across the border of a metastasis; one shows none and is left out."""
    found = []
    for rgb, mask in _pairs(data / "lymph_node" / "camelyon_crops.zip", "masks/", "images/", ".png", ".jpg"):
        if mask.any():
            found.append(_everywhere(rgb, mask))
    return found


def slides(data: Path) -> list[Example]:
    """CAMELYON slides as small images, where a lesion is larger than some pixels."""
    found = []
    for rgb, mask in _pairs(data / "lymph_node" / "camelyon_slides.zip", "_mask", "", "", ""):
        pieces = objects(mask, smallest=1)
        if max(map(np.count_nonzero, pieces), default=0) < _LESION:
            continue
        regions = find_tissue_in_image(rgb, Frame(), tissue_preset("default"))
        tissue = tissue_mask(regions, Frame(), (rgb.shape[1], rgb.shape[0]))
        wanted = [piece & tissue for piece in pieces if np.count_nonzero(piece & tissue) >= _LESION]
        found.append(Example(SegmentationImage(rgb, Frame(), tissue), mask & tissue, wanted))
    return found


def glas(data: Path) -> list[Example]:
    """Every sixth image of GlaS."""
    return [_everywhere(rgb, mask) for _, rgb, mask in read_glas(data / "glas", step=_GLAS_STEP)]


def real(name: str, part: str, most: int) -> Callable[[Path], list[Example]]:
    """Held-out images of a source of the training: patients first, then further images of each."""
    source = next(source for source in SOURCES if source.name == name)

    def run(data: Path) -> list[Example]:
        found = []
        for one in read(data / "tissue_masks", source, part, most=most)[:most]:
            mask = one.numbers > 0
            if one.whole:
                found.append(_everywhere(one.rgb, mask))
                continue
            numbers = [int(number) for number in np.unique(one.numbers) if number]
            things = [one.numbers == number for number in numbers]
            things = [thing for thing in things if np.count_nonzero(thing) >= _NUCLEUS]
            found.append(Example(_image(one.rgb), mask, things))
        return found

    return run


def composites(data: Path) -> list[Example]:
    """Composites of PCam's tiles for validation, which share no slide with those of the training."""
    tiles = Tiles(data / "lymph_node" / "pcam.zip", part="valid")
    found = []
    for number in range(_COMPOSITES):
        drawn, tumour = compose(np.random.default_rng([5, number]), tiles)
        found.append(_everywhere(drawn.rgb, tumour))
    return found


#: What the table shows; nothing of it was trained on, and nothing chosen by it.
TESTS: dict[str, Callable[[Path], list[Example]]] = {
    "CAMELYON crops": crops,
    "CAMELYON slides": slides,
    "GlaS": glas,
    "EBHI-Seg, held-out patients": real("EBHI-Seg", "test", 24),
    "BCSS, half of the other region": real("BCSS", "test", 1),
    "glomeruli": real("glomeruli", "test", 3),
}
#: What choices are made on.
VALIDATION: dict[str, Callable[[Path], list[Example]]] = {
    "EBHI-Seg": real("EBHI-Seg", "val", 18),
    "BCSS": real("BCSS", "val", 1),
    "glomeruli": real("glomeruli", "val", 3),
    "oral carcinoma": real("oral carcinoma", "val", 2),
    "composites of PCam": composites,
    "DSB2018": real("DSB2018", "val", 4),
}


def _pairs(path: Path, mark: str, instead: str, end: str, image_end: str) -> list[tuple[npt.NDArray, Mask]]:
    """Images and masks of a zip file whose names differ by a mark and the end."""
    found = []
    with zipfile.ZipFile(path) as kept:
        for name in sorted(name for name in kept.namelist() if mark in name):
            other = name.replace(mark, instead)
            other = other.removesuffix(end) + image_end if end else other
            mask, bgr = (
                cv2.imdecode(np.frombuffer(kept.read(one), np.uint8), flags)
                for one, flags in ((name, cv2.IMREAD_GRAYSCALE), (other, cv2.IMREAD_COLOR))
            )
            found.append((cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), mask > 127))
    return found


def _image(rgb: npt.NDArray[np.uint8]) -> SegmentationImage:
    return SegmentationImage(np.ascontiguousarray(rgb), Frame(), np.ones(rgb.shape[:2], dtype=bool))


def _everywhere(rgb: npt.NDArray[np.uint8], mask: Mask) -> Example:
    return Example(_image(rgb), mask, objects(mask, smallest=SMALLEST))
