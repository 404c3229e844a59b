"""Trials of ``regions``: what superpixels are told apart by, and what that does to the groups.

.venv/bin/python training/tissue_sam/region_trials.py GLAS_OR_DEMO_FOLDER OUT.csv [--step 4]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from measures import boundary_recall, objects, read_glas

from sam_mil_engine import open_slide
from sam_mil_engine.annotations.reading import read_annotations
from sam_mil_engine.features.efficientnet_lite0 import classifier
from sam_mil_engine.segment.image import segmentation_image
from sam_mil_engine.segment.regions import (
    OUTSIDE,
    adjacency,
    colour_statistics,
    lab_of,
    merge_tree,
    tissue_superpixels,
)
from sam_mil_engine.segment.stain_statistics import stain_statistics
from sam_mil_engine.segment.tissue_sam.encoder import Trunk, normalised
from sam_mil_engine.settings import SegmentSettings, tissue_preset
from sam_mil_engine.slide.tissue import find_tissue

Statistics = npt.NDArray[np.float64]
#: Slides of the demonstration that are looked at.
_SLIDES = 8
CUTS = (4, 8, 16, 32)
#: Directions of haematoxylin and eosin (Ruifrok and Johnston 2001).
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])


class Picture:
    """An image, its superpixels, and what may be known of them."""

    def __init__(
        self, rgb: npt.NDArray[np.uint8], tissue: npt.NDArray[np.bool_], trunk: Trunk, superpixels: int = 500
    ):
        self.rgb, self.tissue = rgb, tissue
        self.lab = lab_of(rgb)
        self.side = float(np.sqrt(rgb.shape[0] * rgb.shape[1] / superpixels))
        self.labels = tissue_superpixels(self.lab, tissue, superpixels)
        self.pairs = adjacency(self.labels)
        self.count = int(self.labels.max()) + 1
        with torch.inference_mode():
            self.levels = trunk(normalised(cv2.resize(rgb, (768, 512))))

    def smooth(self, field: npt.NDArray, share: float) -> npt.NDArray:
        """(h, w, c) after a Gaussian inside the tissue, as wide as a share of a superpixel's side."""
        sigma = share * self.side
        inside = self.tissue.astype(np.float32)
        weight = np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-6)[..., None]
        return cv2.GaussianBlur(field * inside[..., None], (0, 0), sigma) / weight

    def mean(self, field: npt.NDArray) -> Statistics:
        """(h, w, c) -> (n, c)."""
        inside = self.labels != OUTSIDE
        flat, pixels = self.labels[inside], field[inside]
        size = np.bincount(flat, minlength=self.count)[:, None]
        return np.stack([np.bincount(flat, weights=column) for column in pixels.T], axis=1) / size

    def around(self, statistics: Statistics, share: float = 0.5) -> Statistics:
        """Each superpixel's statistics mixed with the mean of its neighbours'."""
        total, number = np.zeros_like(statistics), np.zeros((self.count, 1))
        for one, other in (self.pairs.T, self.pairs.T[::-1]):
            np.add.at(total, one, statistics[other])
            np.add.at(number, one, 1)
        return (1 - share) * statistics + share * total / np.maximum(number, 1)


def colour(picture: Picture) -> Statistics:
    return colour_statistics(picture.lab, picture.labels)


def less_lightness(picture: Picture) -> Statistics:
    return colour(picture) * np.array([0.4, 1, 1, 0.4, 1, 1])


def stains(picture: Picture) -> Statistics:
    amounts = _amounts(picture.rgb, picture.tissue)
    blurred = cv2.GaussianBlur(amounts, (0, 0), 2)
    return 30 * np.concatenate([picture.mean(amounts), picture.mean(np.abs(amounts - blurred))], axis=1)


def texture(picture: Picture) -> Statistics:
    lightness = picture.lab[..., 0]
    bands = [lightness - cv2.GaussianBlur(lightness, (0, 0), 1.0)]
    bands += [
        cv2.GaussianBlur(lightness, (0, 0), s) - cv2.GaussianBlur(lightness, (0, 0), 2 * s) for s in (1, 2, 4)
    ]
    energy = [cv2.GaussianBlur(np.abs(band), (0, 0), 6.0) for band in bands]
    return np.concatenate([colour(picture), 3 * picture.mean(np.stack(energy, axis=-1))], axis=1)


def smoothed(share: float, *, then: float = 0.0) -> Callable[[Picture], Statistics]:
    """Colour after a Gaussian as wide as a share of a superpixel's side; ``then`` is what neighbours give."""

    def run(picture: Picture) -> Statistics:
        lab = picture.smooth(picture.lab, share)
        found = colour_statistics(lab, picture.labels)
        return picture.around(found, then) if then else found

    return run


def stained(share: float, *, then: float = 0.0, energy: float = 0.0) -> Callable[[Picture], Statistics]:
    """Amounts of haematoxylin and eosin, smoothed; ``energy`` weighs what the smoothing takes away."""

    def run(picture: Picture) -> Statistics:
        amounts = _amounts(picture.rgb, picture.tissue)
        smooth = picture.smooth(amounts, share)
        parts = [picture.mean(smooth), np.sqrt(np.maximum(picture.mean(smooth**2) - picture.mean(smooth) ** 2, 0))]
        if energy:
            rough = picture.smooth(np.abs(amounts - smooth), share)
            parts.append(energy * picture.mean(rough))
        found = 30 * np.concatenate(parts, axis=1)
        return picture.around(found, then) if then else found

    return run


def _amounts(rgb: npt.NDArray[np.uint8], tissue: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Stains (h, w, 2), 1 being the image's 95th percentile of each."""
    density = -np.log10(np.clip(rgb.astype(np.float64) / 245, 1 / 255, 1))
    amounts = density @ np.linalg.pinv(_STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True))
    return amounts / np.maximum(np.percentile(amounts[tissue], 95, axis=0), 0.05)


def neighbours(share: float, rounds: int = 1) -> Callable[[Picture], Statistics]:
    def run(picture: Picture) -> Statistics:
        found = colour(picture)
        for _ in range(rounds):
            found = picture.around(found, share)
        return found

    return run


def deep(
    levels: tuple[int, ...], *, weight: float, share: float = 0.0, dims: int = 16
) -> Callable[[Picture], Statistics]:
    """Trunk features by superpixel, their principal components beside the colour."""

    def run(picture: Picture) -> Statistics:
        height, width = picture.rgb.shape[:2]
        parts = []
        for level in levels:
            field = picture.levels[level][0].permute(1, 2, 0).numpy()
            rows = picture.mean(
                cv2.resize(field[..., :64], (width, height))
                if field.shape[2] <= 64
                else np.concatenate(
                    [cv2.resize(field[..., k : k + 64], (width, height)) for k in range(0, field.shape[2], 64)],
                    axis=-1,
                )
            )
            rows = (rows - rows.mean(axis=0)) / (rows.std() + 1e-6)
            parts.append(rows)
        rows = np.concatenate(parts, axis=1)
        u, s, _ = np.linalg.svd(rows, full_matrices=False)
        found = u[:, :dims] * s[:dims]
        found = found / found.std() * np.sqrt(1 / dims)
        found = np.concatenate([(1 - weight) * _unit(colour(picture)), weight * _unit(found)], axis=1)
        return picture.around(found, share) if share else found

    return run


def _unit(rows: Statistics) -> Statistics:
    rows = rows - rows.mean(axis=0)
    return rows / np.sqrt((rows**2).sum(axis=1).mean())


def adopted(picture: Picture) -> Statistics:
    """What ``stain-regions`` does."""
    return stain_statistics(picture.rgb, picture.tissue, picture.labels, picture.pairs, side=picture.side)


TRIALS: dict[str, Callable[[Picture], Statistics]] = {
    "colour mean and deviation (as it is)": colour,
    "lightness counts less": less_lightness,
    "stains of the image": stains,
    "colour and texture energy": texture,
    "colour, smoothed by 0.15": smoothed(0.15),
    "colour, smoothed by 0.3": smoothed(0.3),
    "colour, smoothed by 0.5": smoothed(0.5),
    "colour, smoothed by 0.3, half from neighbours": smoothed(0.3, then=0.5),
    "colour, smoothed by 0.3, a quarter from neighbours": smoothed(0.3, then=0.25),
    "stains, smoothed by 0.3": stained(0.3),
    "stains, smoothed by 0.3, half from neighbours": stained(0.3, then=0.5),
    "stains and texture, smoothed by 0.3, half from neighbours": stained(0.3, then=0.5, energy=1.0),
    "colour, half from neighbours": neighbours(0.5),
    "colour, twice half from neighbours": neighbours(0.5, 2),
    "EfficientNet stride 8, half colour": deep((1,), weight=0.5),
    "EfficientNet stride 16, half colour": deep((2,), weight=0.5),
    "EfficientNet stride 8 and 16, no colour": deep((1, 2), weight=1.0),
    "EfficientNet stride 16, half colour, half from neighbours": deep((2,), weight=0.5, share=0.5),
    "the same with what the stains do not explain (`stain-regions`)": adopted,
}


def figures(picture: Picture, statistics: Statistics, mask: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Purity at 8, 16, 32 groups; best IoU with each gland of all nested regions; boundary recall at 32.

    Purity and IoU follow from how many pixels of each gland lie in each superpixel.
    """
    tree = merge_tree(statistics, picture.pairs)
    wanted = objects(mask)
    outside = picture.labels == OUTSIDE
    left = outside & picture.tissue
    size = np.bincount(picture.labels[~outside], minlength=picture.count)
    inside = np.bincount(picture.labels[~outside], weights=mask[~outside], minlength=picture.count)
    common = np.stack(
        [np.bincount(picture.labels[one & ~outside], minlength=picture.count) for one in wanted] or [0 * size]
    )
    areas = np.array([np.count_nonzero(one) for one in wanted] or [1])
    lost = min(np.count_nonzero(mask & left), np.count_nonzero(~mask & left))
    found: dict[str, float] = {}
    best = np.zeros(len(areas))
    for cut in CUTS:
        node = np.unique(tree.cut(cut), return_inverse=True)[1]
        sizes, glands = np.bincount(node, weights=size), np.bincount(node, weights=inside)
        found[f"purity at {cut}"] = 1 - (np.minimum(glands, sizes - glands).sum() + lost) / np.count_nonzero(
            picture.tissue
        )
        joint = np.stack([np.bincount(node, weights=row, minlength=len(sizes)) for row in common])
        best = np.maximum(best, (joint / (sizes + areas[:, None] - joint)).max(axis=1))
    found["best IoU"] = float(best.mean())
    partition = np.append(node, node.max() + 1)[picture.labels]
    found["boundary recall at 32"] = boundary_recall(partition, mask.astype(np.int64))
    return found


def images(folder: Path, *, step: int, first: int) -> Iterator[tuple[npt.NDArray, npt.NDArray, npt.NDArray]]:
    """Image, tissue (all of it) and gland mask of images of GlaS."""
    for _, rgb, mask in read_glas(folder, step=step, first=first):
        yield rgb, np.ones(mask.shape, dtype=bool), mask


def drawn_slides(folder: Path) -> Iterator[tuple[npt.NDArray, npt.NDArray, npt.NDArray]]:
    """Image, tissue and tumour mask of the slides of ``sam-mil-engine demo`` that have tumour."""
    for outlines in sorted((folder / "annotations").glob("*.geojson"))[:_SLIDES]:
        with open_slide(folder / "slides" / f"{outlines.stem}.tiff") as slide:
            picture = segmentation_image(slide, find_tissue(slide, tissue_preset("default")), SegmentSettings())
        mask = np.zeros(picture.tissue.shape, np.uint8)
        for annotation in read_annotations(outlines):
            ring = picture.frame.from_px0(np.asarray(annotation.polygon.exterior.coords))
            cv2.fillPoly(mask, [np.rint(ring).astype(np.int32)], 1)
        yield picture.rgb, picture.tissue, (mask > 0) & picture.tissue


def main(folder: Path, out: Path, *, step: int, first: int, only: list[str] | None) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    trunk = Trunk(classifier()).eval()
    trials = {name: trial for name, trial in TRIALS.items() if not only or name in only}
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in trials}
    pictures = drawn_slides(folder) if (folder / "slides").is_dir() else images(folder, step=step, first=first)
    for rgb, tissue, mask in pictures:
        picture = Picture(rgb, tissue, trunk)
        for name, trial in trials.items():
            rows[name].append(figures(picture, trial(picture), mask))
    table = pd.DataFrame({name: pd.DataFrame(found).mean() for name, found in rows.items()}).T.round(3)
    print(table.to_string())
    table.to_csv(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("glas", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of trials")
    chosen = parser.parse_args()
    main(chosen.glas, chosen.out, step=chosen.step, first=chosen.first, only=chosen.only)
