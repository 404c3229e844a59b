"""Group assignment on integral images against a loop over patches and masks, in one process.

    python benchmarks/groups.py [--patches 8000] [--masks 200] [--repeats 5] [--json FILE]

The loop is the rule of the code released with the paper, written out here: for every mask and every patch, round
the patch's corner to a raster pixel, ask whether it lies in the mask's box as SAM gives it, and look at the pixels
of the square. Both get the same masks; their memberships must be identical, or the script fails.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from measured import keep

from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.membership import assign_groups
from sam_mil_engine.segment.segments import Segments

PATCH_PX0 = 512


def make_masks(count: int, side: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Ellipses of all sizes on a square image: nested, overlapping, some small, some nearly everything."""
    rows, columns = np.mgrid[:side, :side]
    masks: list[np.ndarray] = []
    while len(masks) < count:
        x, y = rng.uniform(0, side, 2)
        a, b = side * np.exp(rng.uniform(np.log(0.01), np.log(0.5), 2))
        mask = ((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 < 1
        if mask.any():
            masks.append(mask)
    return masks


def make_patches(count: int, side: int, downsample: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 2) corners of cells of a grid over the image, chosen at random, in reading order."""
    cells = side * downsample // PATCH_PX0
    grid = np.stack(np.meshgrid(np.arange(cells), np.arange(cells)), axis=-1).reshape(-1, 2)
    if len(grid) < count:
        raise SystemExit(f"only {len(grid)} patches fit on the image; use fewer or a larger --downsample")
    chosen = np.sort(rng.permutation(len(grid))[:count])
    return (grid[chosen] * PATCH_PX0).astype(np.int32)


def loop(
    masks: list[np.ndarray], boxes: list[list[int]], coords: np.ndarray, downsample: int
) -> dict[int, list[int]]:
    """The released rule, one patch and one mask at a time: mask -> its patches."""
    side = PATCH_PX0 // downsample
    found: dict[int, list[int]] = {}
    for number, mask in enumerate(masks):
        inside = []
        box = boxes[number]
        for patch, coord in enumerate(coords):
            x, y = ((coord - np.array([0, 0])) / downsample).round().astype(int)
            if not (box[0] <= x < box[0] + box[2] and box[1] <= y < box[1] + box[3]):
                continue
            if np.any(mask[y : y + side, x : x + side]):
                inside.append(patch)
        if inside:
            found[number] = inside
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=8000)
    parser.add_argument("--masks", type=int, default=200)
    parser.add_argument("--side", type=int, default=1024, help="pixels of the image's sides")
    parser.add_argument("--downsample", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5, help="runs of ours; the loop runs twice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    masks = make_masks(args.masks, args.side, rng)
    coords = make_patches(args.patches, args.side, args.downsample, rng)
    frame = Frame((0.0, 0.0), (float(args.downsample), float(args.downsample)))
    segments = Segments.from_masks(masks, frame=frame, size_raster=(args.side, args.side))
    # SAM's boxes end at the last pixel, not behind it
    boxes = [[x, y, w - 1, h - 1] for x, y, w, h in segments.boxes_raster.tolist()]

    ours, theirs = [], []
    for turn in range(max(args.repeats, 2)):
        start = time.perf_counter()
        groups = assign_groups(segments, coords, (PATCH_PX0, PATCH_PX0), rule="released")
        ours.append(time.perf_counter() - start)
        if turn < 2:
            start = time.perf_counter()
            expected = loop(masks, boxes, coords, args.downsample)
            theirs.append(time.perf_counter() - start)
    found = {
        number: groups.patches(group).tolist() for group, number in enumerate(groups.segment_of_group.tolist())
    }
    if found != expected:
        raise SystemExit("the memberships differ")

    result = {
        "patches": len(coords),
        "masks": len(masks),
        "groups": len(groups),
        "memberships": len(groups.indices),
        "identical": True,
        "loop_s": theirs,
        "integral_s": ours,
        "ratio": min(theirs) / min(ours),
        "ratio_of_medians": statistics.median(theirs) / statistics.median(ours),
    }
    print(f"{len(coords)} patches x {len(masks)} masks on {args.side} x {args.side} px, one thread")
    print(f"{len(groups)} groups, {len(groups.indices)} memberships, identical in both")
    print(f"loop over patches and masks: {min(theirs):8.3f} s")
    print(f"integral images:             {min(ours):8.3f} s")
    print(f"ratio: {result['ratio']:.0f}x (of medians {result['ratio_of_medians']:.0f}x)")
    keep(result, args.json)


if __name__ == "__main__":
    main()
