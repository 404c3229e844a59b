"""What is done with the segments of a slide when there are 20,000 of them, against doing it for each on its own.

    python benchmarks/many_segments.py [--segments 20000] [--patches 20000] [--json FILE]

Segments are those of fine segmentation: in each tile of a grid, nested rectangles of four sizes. The counterpart of
the assignment compares every mask with all patches; that of the counterfactual takes the softmax over all tokens
again for each segment; both on a sample of segments, times their number. Results must agree, or the script fails.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measured import keep

from napari_sam_mil.analysis.segment_table import matching_rows, segment_table
from sam_mil_engine.annotations.masks import segment_annotations
from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.geometry import Frame
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.counterfactual import logits_without_groups
from sam_mil_engine.mil.pooling_of_parts import PoolingOfParts
from sam_mil_engine.segment.membership import assign_groups
from sam_mil_engine.segment.packed import PackedMasks
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.settings import ModelSettings

#: Raster pixels along a tile and a patch, and parts along a tile at each depth.
TILE, PATCH, PARTS = 896, 112, (3, 4, 6, 8)
SAMPLE = 200


def make_segments(count: int) -> tuple[Segments, int]:
    """Return about ``count`` nested squares with ragged edges in square tiles, and the tiles along a side."""
    tiles = int(np.ceil(np.sqrt(count / sum(part**2 for part in PARTS))))
    rng = np.random.default_rng(0)
    boxes, crops = [], []
    for tile in np.ndindex(tiles, tiles):
        for parts in PARTS:
            side = TILE // parts
            for place in np.ndindex(parts, parts):
                if len(boxes) < count:
                    crop = np.ones((side, side), dtype=bool)
                    crop[0, rng.random(side) < 0.5] = False
                    crop[0, 0] = True
                    boxes.append((tile[1] * TILE + place[1] * side, tile[0] * TILE + place[0] * side, side, side))
                    crops.append(crop)
    size = tiles * TILE
    segments = Segments.from_crops(PackedMasks.of(crops), boxes, frame=Frame(), size_raster=(size, size))
    return segments, tiles


def seconds(run: Callable[[], object]) -> tuple[float, object]:
    """Return the seconds of a processor that a call takes, and its result."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def all_patches(segments: Segments, coords: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
    """Return the patches of some masks, each mask compared with every patch."""
    left, top = coords.T.astype(np.int64)
    found = []
    for number in numbers:
        x, y, width, height = (int(value) for value in segments.boxes_raster[number])
        near = (left < x + width) & (left + PATCH > x) & (top < y + height) & (top + PATCH > y)
        crop = segments.crops[number]
        inside = []
        for patch in np.flatnonzero(near):
            rows = slice(max(top[patch] - y, 0), top[patch] + PATCH - y)
            columns = slice(max(left[patch] - x, 0), left[patch] + PATCH - x)
            if crop[rows, columns].any():
                inside.append(patch)
        found.append(np.array(inside, dtype=np.int64))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=20000)
    parser.add_argument("--patches", type=int, default=20000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    segments, tiles = make_segments(args.segments)
    across = tiles * TILE // PATCH
    rng = np.random.default_rng(1)
    cells = np.sort(rng.permutation(across**2)[: args.patches])
    coords = np.stack([cells % across, cells // across], axis=1).astype(np.int32) * PATCH
    result: dict[str, object] = {"segments": len(segments), "patches": len(coords)}

    spent, groups = seconds(lambda: assign_groups(segments, coords, (PATCH, PATCH)))
    sample = np.linspace(0, len(segments) - 1, SAMPLE).astype(int)
    slow, expected = seconds(lambda: all_patches(segments, coords, sample))
    place = {int(segment): group for group, segment in enumerate(groups.segment_of_group)}
    for number, patches in zip(sample.tolist(), expected, strict=True):
        if groups.patches(place[number]).tolist() != patches.tolist() if number in place else len(patches):
            raise SystemExit("the memberships differ")
    result |= {"assign_s": spent, "assign_ratio": slow * len(segments) / SAMPLE / spent}

    features = rng.normal(size=(len(coords), 64)).astype(np.float32)
    bag = FeatureBag("many", coords, features).with_groups(groups)
    model = build_aggregator(ModelSettings(name="sam-mil"), dim=64, n_classes=2).eval()
    tensors = BagTensors.of(bag)
    with torch.inference_mode():
        output = model(tensors)
        spent, logits = seconds(lambda: logits_without_groups(model, tensors, output))
        pooling = PoolingOfParts(model, tensors, output.scores, output.values)
        chosen = torch.linspace(0, len(groups) - 1, SAMPLE).long()
        stays = torch.ones((SAMPLE, len(coords)), dtype=torch.bool)
        for row, group in enumerate(chosen.tolist()):
            stays[row, torch.as_tensor(groups.patches(group)).long()] = False
        gone = torch.nonzero(~stays, as_tuple=True)

        def densely() -> torch.Tensor:
            rows = []
            for number in range(SAMPLE):
                one, patch = stays[number : number + 1], gone[1][gone[0] == number]
                changes = pooling._changed(one, torch.zeros_like(patch), patch, only=False)
                rows.append(pooling._densely(one, changes))
            return torch.cat(rows)

        slow, exact = seconds(densely)
    if not torch.allclose(logits[chosen] - output.bias, exact, atol=1e-4):
        raise SystemExit("the predictions without segments differ")
    result |= {"without_s": spent, "without_ratio": slow * len(groups) / SAMPLE / spent}

    spent, table = seconds(lambda: segment_table(segments, groups=groups, mpp=(0.5, 0.5)))
    result["table_s"] = spent
    result["filter_s"] = seconds(lambda: matching_rows(table, "patches > 2"))[0]
    result["labels_s"] = seconds(segments.label_image)[0]
    spent = seconds(lambda: segment_annotations(segments, sample.tolist()))[0]
    result["outlines_s"] = spent * len(segments) / SAMPLE
    for name, value in result.items():
        print(f"{name:16} {value:12.2f}" if isinstance(value, float) else f"{name:16} {value:>12}")
    keep(result, args.json)


if __name__ == "__main__":
    main()
