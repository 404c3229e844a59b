"""Features of many slides from their files, against the encoder alone on the same batches in memory, in one run.

    python benchmarks/extract.py [--slides 4] [--side 4096] [--repeats 3] [--threads 2] [--device cpu] [--json FILE]

The slides are generated, 0.5 µm per pixel, JPEG tiles in a pyramid TIFF. End to end is ``process`` with the stages
tissue, tiles and features: opening, finding tissue, its images, reading and decoding every patch, encoding,
writing and syncing the bags. The bound is ``encode`` on the same patches, in the same batches, read before the
clock starts. Three systems take turns, so that a slow moment of the machine hits all alike:

- ``encoder alone``: the bound,
- ``one by one``: patches are read ahead within a slide (``ahead=0``),
- ``overlapped``: the default, the next slide is opened and read while one is encoded.

The share is that of the fastest runs, which other programs disturb least; medians are told too, and the share in
seconds of processor time, which other programs hardly touch and overlapping cannot better. All bags must hold
the features of the encoder alone, or the script fails.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measured import device_named, forget_peak, keep, peak_bytes, wait

from sam_mil_engine.bag import h5
from sam_mil_engine.features.patch_stream import PatchStream
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.process.job import Tools
from sam_mil_engine.settings import FeatureSettings, ProcessSettings, TileSettings
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.synthetic.slide import make_slide

STAGES = ("tissue", "tiles", "features")


def patches_in_memory(slides: list[Path], project: Path, settings: FeatureSettings) -> list[list[np.ndarray]]:
    """Return the batches of every slide, as ``process`` makes them."""
    batches = []
    for path in slides:
        grid = h5.read_grid(project / "bags" / f"{path.stem}.h5")
        with open_slide(path) as slide:
            stream = PatchStream(slide, grid, batch=settings.batch_size, block=settings.block, threads=2)
            batches.append([batch for _, batch in stream])
            stream.close()
    return batches


def end_to_end(slides: list[Path], tools: Tools, ahead: int) -> Path:
    """Process all slides into a new project; the models are loaded before."""
    project = Path(tempfile.mkdtemp(dir=slides[0].parent))
    for outcome in process_slides(slides, project, stages=STAGES, tools=tools, ahead=ahead):
        if outcome.error is not None:
            raise outcome.error
    return project


def check(project: Path, slides: list[Path], expected: list[np.ndarray]) -> None:
    for path, features in zip(slides, expected, strict=True):
        found = h5.read_bag(project / "bags" / f"{path.stem}.h5").features
        if not np.allclose(found, features, rtol=1e-3, atol=1e-3):
            raise SystemExit(f"the features of {path.stem} differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slides", type=int, default=4)
    parser.add_argument("--side", type=int, default=4096, help="pixels of each side of a slide")
    parser.add_argument("--patch-size", type=int, default=256)
    parser.add_argument("--encoder", default="efficientnet-lite0")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of the encoder on a CPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    device = device_named(args.device)
    torch.set_num_threads(args.threads)
    features = FeatureSettings(encoder=args.encoder, precision=args.precision, batch_size=args.batch_size)
    settings = ProcessSettings(tiles=TileSettings(patch_size=args.patch_size), features=features)
    tools = Tools(settings, device=args.device)
    encoder = tools.encoder_named(args.encoder)
    with tempfile.TemporaryDirectory() as place:
        slides = [Path(place) / f"slide-{number}.tiff" for number in range(args.slides)]
        for number, path in enumerate(slides):
            make_slide(path, seed=number, tumour=bool(number % 2), size_px0=(args.side, args.side))
        batches = patches_in_memory(slides, end_to_end(slides, tools, ahead=0), features)
        made: list[list[np.ndarray]] = []

        def alone() -> None:
            made.append([np.concatenate([encoder.encode(batch) for batch in slide]) for slide in batches])

        def run(ahead: int) -> Callable[[], None]:
            return lambda: check(end_to_end(slides, tools, ahead), slides, made[0])

        systems = {"encoder alone": alone, "one by one": run(0), "overlapped": run(1)}
        times: dict[str, list[float]] = {name: [] for name in systems}
        work: dict[str, list[float]] = {name: [] for name in systems}
        forget_peak(device)
        for _ in range(args.repeats):
            for name, system in systems.items():
                start, worked = time.perf_counter(), time.process_time()
                system()
                wait(device)
                times[name].append(time.perf_counter() - start)
                work[name].append(time.process_time() - worked)

    count = sum(len(batch) for slide in batches for batch in slide)
    bound = {"best": min(times["encoder alone"]), "median": statistics.median(times["encoder alone"])}
    print(f"{args.slides} slides of {args.side} px, {count} patches of {args.patch_size} px, {encoder.name} in")
    print(f"{args.precision} on {args.device}, {args.threads} threads, batches of {args.batch_size}")
    print(
        f"{'':>14} {'best, s':>9} {'median, s':>10} {'patches/s':>10} {'of the bound':>13} {'of medians':>11}"
        f" {'of CPU s':>9}"
    )
    rows = []
    for name, values in times.items():
        best, median = min(values), statistics.median(values)
        row = {"system": name, "seconds": values, "cpu_seconds": work[name], "share": bound["best"] / best}
        row["share_of_medians"] = bound["median"] / median
        row["share_of_cpu"] = min(work["encoder alone"]) / min(work[name])
        rows.append(row)
        print(
            f"{name:>14} {best:>9.2f} {median:>10.2f} {count / best:>10.1f} {row['share']:>12.1%}"
            f" {row['share_of_medians']:>10.1%} {row['share_of_cpu']:>8.1%}"
        )
    setting = {name: value for name, value in vars(args).items() if name != "json"}
    keep({**setting, "patches": count, "peak_bytes": peak_bytes(device), "rows": rows}, args.json)


if __name__ == "__main__":
    main()
