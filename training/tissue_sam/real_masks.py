"""Real tissue with masks whose licence lets a model ship, divided so that no patient is in two parts.

EBHI-Seg (CC-BY-4.0) by patient; DSB2018 nuclei (CC0), glomeruli and oral carcinoma (CC-BY-4.0) by image; of BCSS
(CC0) one region is trained on, and the halves of the other are ``val`` and ``test``.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int32]
PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Source:
    """A set of images with masks.

    Attributes
    ----------
    name, file
        For tables, and its zip file below ``tissue_masks``.
    spans
        Smallest and largest side, in its own pixels, of what fills an image of 512 px in training.
    share
        Of the real images of a training run.
    """

    name: str
    file: str
    spans: tuple[float, float]
    share: float


SOURCES = (
    Source("EBHI-Seg", "ebhi_seg.zip", (150.0, 900.0), 0.62),
    Source("DSB2018", "dsb2018_colour.zip", (110.0, 320.0), 0.10),
    Source("BCSS", "bcss.zip", (280.0, 1100.0), 0.12),
    Source("glomeruli", "glomeruli.zip", (250.0, 900.0), 0.07),
    Source("oral carcinoma", "ocdc.zip", (250.0, 1100.0), 0.09),
)


@dataclass(frozen=True, slots=True)
class Annotated:
    """An image and the numbers of its things.

    Attributes
    ----------
    name, group
        The file's stem, and what must stay together: the patient, or the image where no patient is known.
    rgb
        (h, w, 3) uint8.
    numbers
        (h, w) int32; 0 is outside all.
    whole
        Whether what lies outside all is one thing too (tissue between glands), not unknown.
    """

    name: str
    group: str
    rgb: Rgb
    numbers: Numbers
    whole: bool


def read(folder: Path, source: Source, part: str, *, most: int | None = None) -> list[Annotated]:
    """Images of one part of a source, in the order of their names; of ``most`` one a group first."""
    with zipfile.ZipFile(folder / source.file) as kept:
        names = sorted(name for name in kept.namelist() if name.startswith("images/"))
        if source.name == "BCSS":
            return _bcss(kept, names, part)
        chosen = [name for name in names if part_of(source, name, names) == part]
        if most is not None:
            chosen = _spread(source, chosen)[:most]
        return [_read(kept, source, name) for name in chosen]


def part_of(source: Source, name: str, names: list[str]) -> str:
    """Part of an image by its file's name: a draw by the patient in EBHI-Seg, in turn elsewhere."""
    if source.name in ("EBHI-Seg", "DSB2018"):
        drawn = zlib.crc32(_group(source, name).encode()) % 100
        return PARTS[int(drawn >= 70) + int(drawn >= 82)]
    return ("train", "train", "val", "test")[names.index(name) % 4]


def _group(source: Source, name: str) -> str:
    stem = Path(name).stem
    return stem.split("-")[0] if source.name == "EBHI-Seg" else stem


def _spread(source: Source, names: list[str]) -> list[str]:
    """The first image of every group, then the second of each, and so on, groups in a drawn order."""
    by_group: dict[str, list[str]] = {}
    for name in names:
        by_group.setdefault(_group(source, name), []).append(name)
    groups = sorted(by_group.values(), key=lambda some: zlib.crc32(some[0].encode()))
    most = max(map(len, groups), default=0)
    return [some[turn] for turn in range(most) for some in groups if turn < len(some)]


def _read(kept: zipfile.ZipFile, source: Source, name: str) -> Annotated:
    rgb = cv2.cvtColor(_decode(kept, name, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    folder = "labels" if source.name == "DSB2018" else "masks"
    mask = _decode(kept, name.replace("images", folder).rsplit(".", 1)[0] + ".png", cv2.IMREAD_UNCHANGED)
    mask = mask if mask.ndim == 2 else mask.max(axis=2)
    if mask.shape != rgb.shape[:2]:
        mask = cv2.resize(mask, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    instances = source.name == "DSB2018"
    numbers = mask.astype(np.int32) if instances else components(mask > 127)
    return Annotated(Path(name).stem, _group(source, name), rgb, numbers, not instances)


def _bcss(kept: zipfile.ZipFile, names: list[str], part: str) -> list[Annotated]:
    whole = _read(kept, SOURCES[2], names[0] if part == "train" else names[1])
    if part == "train":
        return [whole]
    half = whole.rgb.shape[1] // 2
    side = slice(0, half) if part == "val" else slice(half, None)
    return [Annotated(whole.name, whole.group, whole.rgb[:, side], components(whole.numbers[:, side] > 0), True)]


def components(mask: npt.NDArray[np.bool_]) -> Numbers:
    """Number connected pieces of a mask from 1."""
    numbers: Numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]
    return numbers


def _decode(kept: zipfile.ZipFile, name: str, flags: int) -> npt.NDArray[np.uint8]:
    return cv2.imdecode(np.frombuffer(kept.read(name), np.uint8), flags)
