"""Images of automatic masks on any images, to be looked at: the image, and what each segmenter makes of it.

    .venv/bin/python training/tissue_sam/look.py IMAGE... -o FOLDER [--side 1024] [--bounds LEFT TOP RIGHT BOTTOM]

Slides are images, too. Each, or what of it lies within the bounds, is brought to ``--side`` pixels at most; FOLDER
gets one PNG of its name.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rivals import all_tissue

from sam_mil_engine import load_segmenter, open_slide
from sam_mil_engine.drawing.images import draw_segments

Bounds = tuple[float, float, float, float]
_SEGMENTERS = ("stain-regions", "tissue-regions", "tissue-sam")
_GAP = 8


def look(path: Path, folder: Path, *, side: int, bounds: Bounds | None) -> None:
    """Save the image of one image, and print how many masks each segmenter found in what time."""
    with open_slide(path) as slide:
        rgb, frame = slide.read_image(bounds_px0=bounds, max_side=side)
    panels = [rgb]
    for name in _SEGMENTERS:
        segmenter, start = load_segmenter(name), time.perf_counter()
        segments = segmenter.segment(all_tissue(rgb, frame))
        print(f"{path.name}: {name}, {len(segments)} masks in {time.perf_counter() - start:.1f} s", flush=True)
        panels.append(draw_segments(rgb, frame, segments))
    gap = np.full((len(rgb), _GAP, 3), 255, dtype=np.uint8)
    beside = [part for panel in panels for part in (gap, panel)][1:]
    Image.fromarray(np.hstack(beside)).save(folder / f"{path.stem}.png")


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
