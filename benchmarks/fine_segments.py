"""Memory and time of fine segments: tiles of the tissue, segmented and joined, of slides of any size.

    python benchmarks/fine_segments.py [SLIDE ...] [--mpp 2] [--source-mpp 0.25] [--both-scales] [--json FILE]

Without slides, two are generated that hold the same tissue: 25,000 and 100,000 px wide and high. Each slide has a
process of its own, which takes a small slide through the same stages first, so that every library has its memory.
Memory is the largest resident memory of the segments stage (Linux: VmHWM, set back before it) less what was there
before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

PIECES = ((0.25, 0.25), (0.75, 0.75), (0.25, 0.75))


def measure(slide: Path, small: Path, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Segment one slide in this process."""
    from memory import status

    from sam_mil_engine.process.job import Tools
    from sam_mil_engine.process.runner import process_slide
    from sam_mil_engine.settings import EMBEDDED_SEGMENTER, ProcessSettings, SegmentSettings, TileSettings

    settings = ProcessSettings(
        preset="tcga",
        tiles=TileSettings(source_mpp=arguments.source_mpp),
        segments=SegmentSettings(
            segmenter=EMBEDDED_SEGMENTER, mpp=arguments.mpp, both_scales=arguments.both_scales
        ),
    )
    tools = Tools(settings, device="cpu")
    process_slide(small, folder / "small", tools=tools, stages=["tissue", "segments"])
    found = process_slide(slide, folder / "large", tools=tools, stages=["tissue"])
    mpp = found.info.mpp or (arguments.source_mpp, arguments.source_mpp)
    area_mm2 = float(found.tissue.area_px0.sum()) * mpp[0] * mpp[1] / 1e6
    del found
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak counts from here
    start, cpu = time.perf_counter(), time.process_time()
    done = process_slide(slide, folder / "large", tools=tools, stages=["segments"])
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "mib": status("VmHWM") - before,
        "tissue_mm2": area_mm2,
        "segments": len(done.segments),
        "raster": max(done.segments.size_raster),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path, nargs="*")
    parser.add_argument("--mpp", type=float, default=2.0)
    parser.add_argument("--source-mpp", type=float, default=0.25, help="of slides that do not state it")
    parser.add_argument("--both-scales", action="store_true")
    parser.add_argument("--radius", type=int, default=4000, help="of generated tissue, level-0 pixels")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=3, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one, arguments)))
        return
    from measured import keep

    from sparse_slides import write_sparse_slide

    passed = [argument for argument in sys.argv[1:] if argument not in map(str, arguments.slides)]
    rows = []
    with tempfile.TemporaryDirectory() as place:
        small = write_sparse_slide(Path(place) / "small.tiff", side=4096, radius=900, pieces=((0.5, 0.5),))
        slides = list(arguments.slides)
        for side in () if slides else (25_000, 100_000):
            path = Path(place) / f"{side}.tiff"
            slides.append(write_sparse_slide(path, side=side, radius=arguments.radius, pieces=PIECES))
        for slide in slides:
            call = [sys.executable, __file__, *passed, "--one", str(slide), str(small)]
            with tempfile.TemporaryDirectory() as folder:
                output = subprocess.run([*call, folder], check=True, capture_output=True, text=True).stdout
            row = {"slide": slide.name, **json.loads(output)}
            row["cpu_seconds_per_mm2"] = row["cpu_seconds"] / row["tissue_mm2"]
            print(row, flush=True)
            rows.append(row)
    if not arguments.slides:
        print(f"4x the side: {rows[1]['mib'] / rows[0]['mib']:.2f}x the memory")
    if arguments.json:
        keep({"rows": rows}, arguments.json)


if __name__ == "__main__":
    main()
