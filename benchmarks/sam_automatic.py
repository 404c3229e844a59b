"""SAM's automatic masks: this engine against ``SamAutomaticMaskGenerator``, with the same weights and settings.

    python benchmarks/sam_automatic.py [--models small vit_b vit_h] [--points 32] [--size 1024] [--crop-layers 1]
                                       [--images 1] [--points-per-batch 0] [--repeats 1] [--threads 2]
                                       [--device cpu] [--json FILE]

Every run is a process of its own, so that its peak memory is its own; the runs of the systems take turns, so that a
slow moment of the machine hits all alike, and the fastest of each counts. The weights are random ones whose masks
are blots that differ from prompt to prompt (``tests/whole_sams.py``), saved once and loaded by all. No mask is
dropped for its predicted IoU: that spares the engine, but not Meta's generator, the making of it. Masks are matched
to Meta's one to one by intersection over union; unmatched ones of Meta's count as 0. On a machine that others use,
the seconds of processor time (of all threads) are the fairer figure.

With ``--device cuda``, meant for less than five minutes, each run computes a small image first, which starts the
GPU's libraries, and memory is what torch gave out on the GPU. With several images, the engine takes them at once,
as it takes tiles of a slide, and Meta's generator one by one; seconds are those of one image.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measured import device_named, forget_peak, keep, peak_bytes, wait

SYSTEMS = {"Meta": None, "fp32": "float32", "bf16": "bfloat16"}
#: Width, depth and heads of Meta's image encoders.
SHAPES = {"vit_b": (768, 12, 12), "vit_h": (1280, 32, 16)}
#: Low, so that random masks survive by the hundred, for either model.
STABILITY = 0.1


def synthetic_image(size: int, seed: int = 0) -> np.ndarray:
    """Blobs of three colours on white, slightly noisy: (size, size, 3) uint8."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    image = np.full((size, size, 3), 240)
    for colour in ((180, 90, 150), (110, 60, 140), (220, 150, 190)):
        for _ in range(8):
            y, x, radius = rng.integers(0, size), rng.integers(0, size), rng.integers(size // 20, size // 8)
            image[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = colour
    return np.clip(image + rng.integers(-6, 7, size=image.shape), 0, 255).astype(np.uint8)


def build(model: str):
    """The model with random weights; vit_b and vit_h are Meta's shapes, small sees 256 px."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from whole_sams import build_whole_sam

    if model in SHAPES:
        width, depth, heads = SHAPES[model]
        return build_whole_sam(side=1024, width=width, depth=depth, heads=heads, channels=256, window=14, mlp=2048)
    return build_whole_sam(side=256, width=64, channels=256)


def work(args: argparse.Namespace) -> None:
    """One run of one system: masks to a file, figures to standard output."""
    import torch

    torch.set_num_threads(args.threads)
    if args.run == "build":
        torch.save(build(args.models[0]), args.work / "sam.pt")
        print("{}")
        return
    sam = build_from(args)
    images = [synthetic_image(args.size, seed) for seed in range(args.images)]
    masks_of = metas_masks if args.run == "Meta" else our_masks
    device = torch.device(args.device)
    if device.type != "cpu":
        masks_of(sam, images[:1], argparse.Namespace(**{**vars(args), "points": 2, "crop_layers": 0}))
    loaded = peak_bytes(device)
    forget_peak(device)
    start, cpu_start = time.perf_counter(), time.process_time()
    masks = masks_of(sam, images, args)
    wait(device)
    seconds, cpu_seconds = (
        (now - before) / len(images)
        for now, before in ((time.perf_counter(), start), (time.process_time(), cpu_start))
    )
    peak = peak_bytes(device)
    np.save(args.work / "masks.npy", np.packbits(masks.reshape(len(masks), -1), axis=1))
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "peak_bytes": peak,
                "loaded_bytes": loaded,
                "masks": len(masks),
            }
        )
    )


def build_from(args: argparse.Namespace):
    import torch

    sam = torch.load(args.work / "sam.pt", weights_only=False, map_location="cpu")
    return sam.to(args.device).eval()


def metas_masks(sam, images: list[np.ndarray], args: argparse.Namespace) -> np.ndarray:
    """All masks of the first image; those of the others are computed too."""
    from segment_anything import SamAutomaticMaskGenerator

    generator = SamAutomaticMaskGenerator(
        sam,
        points_per_side=args.points,
        pred_iou_thresh=0.0,
        stability_score_thresh=STABILITY,
        crop_n_layers=args.crop_layers,
        crop_n_points_downscale_factor=2,
        points_per_batch=args.points_per_batch or 64,
    )
    records, *_ = [generator.generate(image) for image in images]
    masks = [record["segmentation"] for record in records if record["area"]]
    return np.array(masks, dtype=bool).reshape(-1, *images[0].shape[:2])


def our_masks(sam, images: list[np.ndarray], args: argparse.Namespace) -> np.ndarray:
    """As :func:`metas_masks`."""
    from sam_mil_engine.geometry import Frame
    from sam_mil_engine.segment.automatic import AutomaticSegmenter
    from sam_mil_engine.segment.image import SegmentationImage
    from sam_mil_engine.settings import SegmentSettings

    settings = SegmentSettings(
        points_per_side=args.points,
        pred_iou_thresh=0.0,
        stability_score_thresh=STABILITY,
        crop_n_layers=args.crop_layers,
        crop_n_points_downscale_factor=2,
        precision=SYSTEMS[args.run],
        points_per_batch=args.points_per_batch or None,
    )
    frame, tissue = Frame((0.0, 0.0), (1.0, 1.0)), np.ones(images[0].shape[:2], dtype=bool)
    shown = [SegmentationImage(rgb=image, frame=frame, tissue=tissue) for image in images]
    segments = AutomaticSegmenter(sam, name="benchmark", version="", settings=settings).segment_many(shown)[0]
    masks = [segments.mask(number) for number in range(len(segments))]
    return np.array(masks, dtype=bool).reshape(-1, *images[0].shape[:2])


def mean_iou(reference: np.ndarray, found: np.ndarray) -> float:
    """Mean IoU of Meta's masks with the masks matched to them one to one; both bit-packed, a row a mask."""
    from scipy.optimize import linear_sum_assignment

    if not len(reference) or not len(found):
        return float(len(reference) == len(found))
    counts = np.array([np.bitwise_count(row & found).sum(axis=1) for row in reference])
    areas = (np.bitwise_count(masks).sum(axis=1) for masks in (reference, found))
    area_reference, area_found = areas
    iou = counts / (area_reference[:, None] + area_found[None] - counts)
    return float(iou[linear_sum_assignment(-iou)].sum() / len(reference))


def compare(model: str, args: argparse.Namespace) -> list[dict]:
    """All systems on one model, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        args.work = Path(folder)
        # In a process of its own: peak memory is handed down to the processes that this one starts.
        run_alone("build", args, model)
        rows: dict[str, dict] = {}
        masks: dict[str, np.ndarray] = {}
        for _ in range(args.repeats):
            for system in SYSTEMS:
                found = run_alone(system, args, model)
                masks[system] = np.load(args.work / "masks.npy")
                if system not in rows or found["seconds"] < rows[system]["seconds"]:
                    rows[system] = found
                print(f"    {model} {system}: {found['seconds']:.1f} s", file=sys.stderr, flush=True)
    for system, row in rows.items():
        row |= {"model": model, "system": system, "mean_iou": mean_iou(masks["Meta"], masks[system])}
        for seconds in ("seconds", "cpu_seconds"):
            row[f"times_fewer_{seconds}"] = rows["Meta"][seconds] / row[seconds]
        row["share_of_memory"] = row["peak_bytes"] / rows["Meta"]["peak_bytes"]
    return list(rows.values())


def run_alone(run: str, args: argparse.Namespace, model: str) -> dict:
    options = {"points": args.points, "size": args.size, "crop-layers": args.crop_layers}
    options |= {"threads": args.threads, "device": args.device, "run": run, "work": args.work, "models": model}
    options |= {"images": args.images, "points-per-batch": args.points_per_batch}
    command = [sys.executable, __file__, *(f"--{name}={value}" for name, value in options.items())]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=["small", *SHAPES], default=["small", "vit_b"])
    parser.add_argument("--points", type=int, default=32)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--crop-layers", type=int, default=1)
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--points-per-batch", type=int, default=0, help="0: as each chooses itself")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--run", choices=[*SYSTEMS, "build"], help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        work(args)
        return
    args.device = str(device_named(args.device))
    print(f"{args.points} points a side, {args.size} px, {args.crop_layers} crop layers, {args.threads} threads")
    heads = ("model", "system", "seconds", "faster", "CPU s", "fewer", "peak MiB", "share", "masks", "IoU")
    print(" ".join(f"{head:>8}" for head in heads))
    rows = []
    for model in args.models:
        for row in compare(model, args):
            shown = (
                row["model"],
                row["system"],
                f"{row['seconds']:.1f}",
                f"{row['times_fewer_seconds']:.2f}x",
                f"{row['cpu_seconds']:.1f}",
                f"{row['times_fewer_cpu_seconds']:.2f}x",
                f"{row['peak_bytes'] / 2**20:.0f}",
                f"{row['share_of_memory']:.2f}x",
                row["masks"],
                f"{row['mean_iou']:.4f}",
            )
            print(" ".join(f"{value:>8}" for value in shown), flush=True)
            rows.append(row)
    setting = {name: value for name, value in vars(args).items() if name not in ("json", "run", "work", "models")}
    keep({**setting, "rows": rows}, args.json)


if __name__ == "__main__":
    main()
