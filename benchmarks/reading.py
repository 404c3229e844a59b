"""The readers of `pan.py` without a window: what a view costs, and what memory a long ride takes.

    python benchmarks/reading.py [--slide FILE] [--napari-wsi FOLDER] [--steps N] [--json FILE]

A view of 1920 x 1080 px of the finest level moves by half of itself, row after row, over a slide made as in
`pan.py`; every view is taken as napari takes it, as an array. Each reader rides in a fresh process: 40 steps cold,
the same 40 back, then ``--steps`` cold ones on which its memory is watched. napari's cache for dask is on, as in
its window.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from large_slide import make_large_slide
from measured import keep
from pan import OPENERS

VIEW = (1920, 1080)
READERS = ("ours", "napari-wsi", "dask")
SHORT = 40


class Levels:
    """Stands for a viewer: keeps the arrays that a reader gives it."""

    def __init__(self) -> None:
        self.data: list[Any] = []

    def add_image(self, data: Any, **_words: Any) -> None:
        self.data = list(data)

    def open(self, path: str, *, plugin: str) -> None:
        from napari_sam_mil.reader import read_slides

        del plugin
        ((self.data, _, _),) = read_slides(path)


def places(size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Left and top of every view: to the right in one row, to the left in the next, for ever."""
    columns = list(range(0, size[0] - VIEW[0], VIEW[0] // 2))
    rows = list(range(0, size[1] - VIEW[1], VIEW[1] // 2))
    while True:
        for number, top in enumerate(rows):
            for left in columns[:: 1 if number % 2 == 0 else -1]:
                yield left, top


def ride(level: Any, views: list[tuple[int, int]]) -> dict[str, list[float]]:
    """Take views; milliseconds of wall and of processor for each, and the resident memory after it in MiB."""
    import psutil
    from napari.utils._dask_utils import _DASK_CACHE

    process, taken = psutil.Process(), {"wall": [], "processor": [], "memory": []}
    for left, top in views:
        wall, processor = time.perf_counter(), time.process_time()
        with _DASK_CACHE:
            np.asarray(level[top : top + VIEW[1], left : left + VIEW[0]])
        taken["wall"].append(1000 * (time.perf_counter() - wall))
        taken["processor"].append(1000 * (time.process_time() - processor))
        taken["memory"].append(process.memory_info().rss / 2**20)
    return taken


def alone(name: str, path: Path, steps: int) -> dict[str, Any]:
    """Let one reader ride in this process."""
    import psutil
    from napari.utils import resize_dask_cache

    resize_dask_cache()
    viewer = Levels()
    OPENERS[name](viewer, path)
    level = viewer.data[0]
    before = psutil.Process().memory_info().rss / 2**20
    size = (level.shape[1], level.shape[0])
    short = list(islice(places(size), SHORT))
    result = {"cold": ride(level, short), "back": ride(level, short[::-1])}
    long = ride(level, list(islice(places(size), SHORT, SHORT + steps)))
    grown = np.asarray(long["memory"]) - before
    return result | {
        "long": long,
        "grown_mib": [float(grown[len(grown) // 2]), float(grown[-1]), float(grown.max())],
    }


def run(name: str, path: Path, folder: str | None, steps: int) -> dict[str, Any]:
    where = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as home:
        told = Path(home) / "result.json"
        command = [sys.executable, __file__, "--slide", str(path), "--alone", name, "--json", str(told)]
        environment = os.environ | {"PYTHONPATH": where, "XDG_CONFIG_HOME": home}
        command += ["--steps", str(steps)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if told.is_file():
            return dict(json.loads(told.read_text()))
    return {"error": (done.stderr.strip() or "it died").splitlines()[-1]}


def table(results: dict[str, Any], steps: int) -> None:
    print(f"{'ms a view':12}{'':12}{'median':>9}{'95th':>9}{'processor':>11}{'processor, ratio':>19}")
    good = {name: result for name, result in results.items() if "cold" in result}
    for part in ("cold", "back"):
        for name, result in good.items():
            wall, processor = (np.asarray(result[part][key]) for key in ("wall", "processor"))
            ratio = processor.mean() / np.mean(good["ours"][part]["processor"]) if "ours" in good else np.nan
            print(
                f"{part:12}{name:12}{np.median(wall):9.1f}{np.percentile(wall, 95):9.1f}{processor.mean():11.1f}"
                f"{ratio:18.1f}x"
            )
    for name, result in results.items():
        if name in good:
            half, end, most = result["grown_mib"]
            print(f"{name}: {steps} more: {half:.0f} MiB after half, {end:.0f} MiB at the end, {most:.0f} at most")
        else:
            print(f"{name}: absent ({result['error']})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--napari-wsi", metavar="FOLDER")
    parser.add_argument("--contender", action="append", choices=READERS)
    parser.add_argument("--alone", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.alone:
        args.json.write_text(json.dumps(alone(args.alone, args.slide, args.steps)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = args.slide or Path(folder) / "large.tif"
        if not args.slide:
            make_large_slide(path)
        print(f"{path.name}; {os.cpu_count()} cores")
        results = {name: run(name, path, args.napari_wsi, args.steps) for name in args.contender or READERS}
    table(results, args.steps)
    if args.json:
        keep(results, args.json)


if __name__ == "__main__":
    main()
