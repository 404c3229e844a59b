"""SAM on a GPU with too little memory: batches shrink, then the CPU takes over; the masks stay the same.

    python benchmarks/gpu_memory.py [--device cuda] [--points 16] [--json FILE]

ViT-B shape, random weights. torch is allowed less and less of the GPU's memory: all, a quarter of the first run's
peak above the weights, and so little that the weights alone fit. Each run tells seconds, peak, how many points it
decoded at once in the end, where it ended, and whether boxes and number of masks are those of the first run.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from measured import device_named, forget_peak, keep, peak_bytes, wait
from sam_automatic import STABILITY, build, synthetic_image

from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment import automatic
from sam_mil_engine.segment.automatic import AutomaticSegmenter
from sam_mil_engine.segment.batches import Batches
from sam_mil_engine.segment.image import SegmentationImage
from sam_mil_engine.settings import SegmentSettings


def run(sam, image: SegmentationImage, points: int, device: torch.device, allowed: int | None) -> dict:
    """Segment with at most ``allowed`` bytes of the GPU."""
    settings = SegmentSettings(
        points_per_side=points, pred_iou_thresh=0.0, stability_score_thresh=STABILITY, crop_n_layers=0
    )
    sizes: list[int] = []

    class Noting(Batches):
        def over(self, work, items):
            yield from super().over(work, items)
            if self._unit == "points":
                sizes.append(self.size)

    automatic.Batches = Noting
    total = torch.cuda.get_device_properties(device).total_memory
    sam.to(device)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.0 if allowed is None else min(1.0, allowed / total), device)
    forget_peak(device)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = AutomaticSegmenter(sam, name="benchmark", version="", settings=settings).segment(image)
    wait(device)
    return {
        "allowed_bytes": allowed,
        "seconds": time.perf_counter() - start,
        "peak_bytes": peak_bytes(device),
        "points_at_once": sizes[-1] if sizes else 0,
        "ended_on": str(sam.device),
        "warnings": [str(one.message) for one in said if one.category is UserWarning],
        "masks": len(found),
        "boxes": found.boxes_raster.tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--points", type=int, default=16)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    device = device_named(args.device)
    if device.type != "cuda":
        raise SystemExit("gpu_memory.py: only the memory of a CUDA device can be limited")
    sam = build("vit_b")
    weights = sum(value.numel() * value.element_size() for value in sam.state_dict().values())
    rgb = synthetic_image(1024)
    image = SegmentationImage(rgb=rgb, frame=Frame((0.0, 0.0), (1.0, 1.0)), tissue=np.ones(rgb.shape[:2], bool))
    whole = run(sam, image, args.points, device, None)
    quarter = weights + (whole["peak_bytes"] - weights) // 4
    rows = [whole, run(sam, image, args.points, device, quarter), run(sam, image, 4, device, weights + 2**26)]
    for row in rows[:2]:
        row["same_masks"] = row["masks"] == whole["masks"] and np.allclose(row["boxes"], whole["boxes"], atol=2)
    for row in rows:
        del row["boxes"]
        print({name: value for name, value in row.items() if name != "warnings"})
    keep({"points": args.points, "weights_bytes": weights, "rows": rows}, args.json)


if __name__ == "__main__":
    main()
