"""The tiles that an adapter learns from without labels, and the augmented views of a tile.

PatchCamelyon's training tiles (CC0), EBHI-Seg (CC-BY-4.0) and LC25000 (free to use in any way).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

Image = npt.NDArray[np.uint8]
#: Directions of haematoxylin, eosin and what is left, in R, G, B (Ruifrok and Johnston 2001).
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
#: Side of the views of larger tiles.
SIDE = 128


def lymph_node(data: Path, part: str) -> tuple[list[Image], npt.NDArray[np.bool_]]:
    """Read a part of PatchCamelyon (``train``, ``valid`` or ``test``), and which tiles hold tumour."""
    images, tumour = [], []
    with zipfile.ZipFile(data / "lymph_node" / "pcam.zip") as archive:
        for name in sorted(archive.namelist()):
            if name.startswith(f"{part}/") and not name.endswith("/"):
                images.append(_decoded(archive.read(name)))
                tumour.append(name.split("/")[1] == "1")
    return images, np.array(tumour)


def colon(data: Path) -> Iterator[Image]:
    """Yield every second image of EBHI-Seg, then one copy of each photograph of LC25000; sides of ``SIDE``."""
    with zipfile.ZipFile(data / "tissue_masks" / "ebhi_seg.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.startswith("images/") and name[-1] != "/"]
        for name in names[::2]:
            yield _sized(_decoded(archive.read(name)))
    photographs = pd.read_csv(data / "lc25000_colon" / "labels.csv").drop_duplicates("group")["file"]
    for file in photographs:
        yield _sized(_decoded((data / "lc25000_colon" / file).read_bytes()))


def view(rng: np.random.Generator, image: Image) -> Image:
    """Return the tile as another scanner, stain and hand might have shown it; its side is at most ``SIDE``.

    A square of 50% to 100% of the area, turned and mirrored; each stain 0.7 to 1.4 times as strong; noise and
    blur now and then.
    """
    side = min(image.shape[:2])
    crop = round(side * np.sqrt(rng.uniform(0.5, 1.0)))
    y, x = (int(rng.integers(0, length - crop + 1)) for length in image.shape[:2])
    own = image[y : y + crop, x : x + crop]
    out = min(side, SIDE)
    own = cv2.resize(own, (out, out), interpolation=cv2.INTER_AREA if crop > out else cv2.INTER_LINEAR)
    own = np.rot90(own, int(rng.integers(4)))
    own = own[:, ::-1] if rng.integers(2) else own
    density = -np.log10((own.astype(np.float64) + 1) / 256) @ np.linalg.inv(_unit(_STAINS))
    density = density * np.exp(rng.uniform(np.log(0.7), np.log(1.4), 3)) + rng.normal(0, 0.015, 3)
    pixels = 256 * 10 ** -(density @ _unit(_STAINS)) - 1
    if rng.random() < 0.3:
        pixels = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.3, 1.0)))
    if rng.random() < 0.3:
        pixels = pixels + rng.normal(0, rng.uniform(1, 5), pixels.shape)
    return np.ascontiguousarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _unit(stains: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    unit: npt.NDArray[np.float64] = stains / np.linalg.norm(stains, axis=1, keepdims=True)
    return unit


def _sized(image: Image) -> Image:
    """Resize to the side of the views: a scale between that of the lymph nodes and the image's own."""
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _decoded(content: bytes) -> Image:
    bgr = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(bgr[..., ::-1])
