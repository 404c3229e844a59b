"""Tissue and patch grid of many slides, side by side on all cores, beside CLAM's ``create_patches_fp.py``.

    python benchmarks/patching.py --clam FOLDER SLIDE [SLIDE ...] [--count 20] [--jobs 1 2] [--json FILE]

``FOLDER`` is a checkout of CLAM. The slides are linked under ``--count`` names: every program sees a cohort. Each
program runs as its own process: CLAM's with ``--seg --patch --stitch``, ours with ``--stages tissue,tiles``,
which writes the same three things (mask, coordinates, stitched image). Both use patches of 256 px of level 0.
Wall time and processor time include the start of the program.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measured import keep


def timed(command: list[str], *, folder: Path) -> dict[str, float]:
    """Wall time and processor time of a command with its children, in seconds."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall_s": round(wall, 2), "processor_s": round(processor, 2)}


def link(slides: list[Path], count: int, folder: Path) -> None:
    """Link the slides under ``count`` names."""
    folder.mkdir()
    for number in range(count):
        slide = slides[number % len(slides)].resolve()
        (folder / f"slide-{number:02d}{slide.suffix}").symlink_to(slide)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path, nargs="+", metavar="SLIDE")
    parser.add_argument("--clam", type=Path, help="a checkout of CLAM; without it only ours is measured")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, os.cpu_count() or 1])
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        link(chosen.slides, chosen.count, work / "slides")
        for jobs in chosen.jobs:
            program = [sys.executable, "-m", "sam_mil_engine", "process", "slides", "-o", f"ours-{jobs}", "-q"]
            options = ["--stages", "tissue,tiles", "--patch-size", "256", "--jobs", str(jobs)]
            found[f"ours, {jobs} jobs"] = timed([*program, *options], folder=work)
        if chosen.clam is not None:
            script = str((chosen.clam / "create_patches_fp.py").resolve())
            options = ["--source", "slides", "--save_dir", "clam", "--patch_size", "256", "--step_size", "256"]
            program = [sys.executable, script, *options, "--seg", "--patch", "--stitch"]
            found["CLAM"] = timed(program, folder=work)
    print(f"{chosen.count} slides\n")
    print("| program | wall, s | processor, s | CLAM's wall time over it |\n|---|---|---|---|")
    for name, one in found.items():
        ratio = f"{found['CLAM']['wall_s'] / one['wall_s']:.1f}" if "CLAM" in found else ""
        print(f"| {name} | {one['wall_s']} | {one['processor_s']} | {ratio} |")
    keep({"slides": chosen.count, "seconds": found}, chosen.json)


if __name__ == "__main__":
    main()
