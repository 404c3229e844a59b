"""Peak memory of preprocessing against the size of the slide, above the models.

    python benchmarks/memory.py [--sides 12500 25000 50000 100000] [--radius 1500] [--json FILE]

The slides are square, 0.25 µm per pixel, tiled, JPEG, with a pyramid; equal tiles are stored once, so that the
largest is made in seconds and takes some MB (``tests/sparse_slides.py``). All hold the same three pieces of
tissue, far apart, so that only the size differs; the last row is the largest slide with pieces of three times the
radius, nine times the patches.

Every slide has a process of its own. It loads the models, takes a small slide through all stages so that every
library has its memory, and then takes the slide through tissue, tiles, segments (``stain-regions``), features and
groups.
A figure is the largest resident memory during a stage (Linux: VmHWM, set back before the stage) less the resident
memory before the first one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from measured import keep

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

PIECES = ((0.2, 0.2), (0.8, 0.3), (0.4, 0.8))
LIMIT_MIB = 2048


def measure(slide: Path, small: Path, folder: Path) -> dict[str, float]:
    """Take one slide through every stage in this process; return MiB above the models by stage."""
    from sam_mil_engine.process.job import Tools
    from sam_mil_engine.process.runner import process_slide
    from sam_mil_engine.settings import (
        EMBEDDED_SEGMENTER,
        STAGES,
        FeatureSettings,
        ProcessSettings,
        SegmentSettings,
        TileSettings,
    )

    settings = ProcessSettings(
        tiles=TileSettings(patch_size=224, mpp=0.5),
        segments=SegmentSettings(segmenter=EMBEDDED_SEGMENTER),
        features=FeatureSettings(),
    )
    tools = Tools(settings, device="cpu")
    process_slide(small, folder / "small", tools=tools)
    before = status("VmRSS")
    metrics: dict[str, float] = {}
    for stage in STAGES:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak counts from here
        done = process_slide(slide, folder / "large", tools=tools, stages=[stage])
        metrics[stage] = status("VmHWM") - before
        del done
    metrics["models"] = before
    metrics["patches"] = process_slide(slide, folder / "large", tools=tools).tiles or 0
    return metrics


def status(name: str) -> float:
    """Read a line of /proc/self/status, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[12_500, 25_000, 50_000, 100_000])
    parser.add_argument("--radius", type=int, default=1500, help="of a piece of tissue, level-0 pixels")
    parser.add_argument("--one", nargs=3, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(*args.one)))
        return

    from sam_mil_engine.settings import STAGES
    from sparse_slides import write_sparse_slide

    print("largest resident memory above the models, MiB")
    print(
        f"{'side, px':>9} {'file, MB':>9} {'patches':>8}"
        + "".join(f"{name:>10}" for name in STAGES)
        + f"{'all':>8}"
    )
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as place:
        small = write_sparse_slide(Path(place) / "small.tiff", side=4096, radius=900, pieces=((0.5, 0.5),))
        for side, radius in [*((side, args.radius) for side in args.sides), (max(args.sides), 3 * args.radius)]:
            slide = write_sparse_slide(Path(place) / "slide.tiff", side=side, radius=radius, pieces=PIECES)
            with tempfile.TemporaryDirectory() as folder:
                call = [sys.executable, __file__, "--one", str(slide), str(small), folder]
                metrics = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
            peak = max(metrics[stage] for stage in STAGES)
            print(
                f"{side:>9} {slide.stat().st_size / 1e6:>9.1f} {metrics['patches']:>8}"
                + "".join(f"{metrics[stage]:>10.0f}" for stage in STAGES)
                + f"{peak:>8.0f}",
                flush=True,
            )
            rows.append({"side": side, "radius": radius, "peak": peak, **metrics})
    same, growth = [row["peak"] for row in rows[:-1]], max(args.sides) / min(args.sides)
    print(f"largest over smallest: {growth:.0f}x the side, {same[-1] / same[0]:.2f}x the peak")
    print(f"below {LIMIT_MIB} MiB: {'yes' if max(row['peak'] for row in rows) < LIMIT_MIB else 'NO'}")
    keep({"unit": "MiB", "rows": rows}, args.json)


if __name__ == "__main__":
    main()
