"""Pictures of automatic masks on any images, to be looked at: the image, ``tissue-sam``, ``regions``, side by side.

    .venv/bin/python training/tissue_sam/look.py IMAGE... -o FOLDER [--side 1024] [--bounds LEFT TOP RIGHT BOTTOM]

Slides are images, too. Each, or what of it lies within the bounds, is brought to ``--side`` pixels at most; FOLDER
gets one PNG of its name.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from rivals import Rgb
from skimage.segmentation import find_boundaries

from sam_mil_engine import load_segmenter, open_slide
from sam_mil_engine.segment.image import SegmentationImage

Bounds = tuple[float, float, float, float]
_SEGMENTERS = ("tissue-sam", "regions")
_GAP, _OPACITY = 8, 0.4


def drawn(rgb: Rgb, masks: list[npt.NDArray[np.bool_]]) -> Rgb:
    """The picture under its masks, large ones first, each in a colour of its own with a black outline."""
    colours = np.random.default_rng(0).integers(0, 256, (len(masks), 3))
    picture = rgb.astype(float)
    ordered = sorted(masks, key=np.count_nonzero, reverse=True)
    for mask, colour in zip(ordered, colours, strict=True):
        picture[mask] += _OPACITY * (colour - picture[mask])
    for mask in ordered:
        picture[find_boundaries(mask, mode="inner")] = 0
    return picture.astype(np.uint8)


def look(path: Path, folder: Path, *, side: int, bounds: Bounds | None) -> None:
    """Save the picture of one image, and print how many masks each segmenter found in what time."""
    with open_slide(path) as slide:
        rgb, frame = slide.picture(bounds_px0=bounds, max_side=side)
    shown = SegmentationImage(image=rgb, frame=frame, tissue=np.ones(rgb.shape[:2], dtype=bool))
    panels = [rgb]
    for name in _SEGMENTERS:
        segmenter, start = load_segmenter(name), time.perf_counter()
        segments = segmenter.segment(shown)
        print(f"{path.name}: {name}, {len(segments)} masks in {time.perf_counter() - start:.1f} s", flush=True)
        panels.append(drawn(rgb, [segments.mask(number) for number in range(len(segments))]))
    gap = np.full((len(rgb), _GAP, 3), 255, dtype=np.uint8)
    Image.fromarray(np.hstack([panels[0], gap, panels[1], gap, panels[2]])).save(folder / f"{path.stem}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--bounds", nargs=4, type=float, metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for path in args.images:
        look(path, args.output, side=args.side, bounds=args.bounds and tuple(args.bounds))


if __name__ == "__main__":
    main()
