"""Thousands of outlines in napari's window: seconds to load, the longest stall, and what they cost when panning.

    python benchmarks/outlines.py [--count N] [--json FILE]

A slide is generated, and cells all over it. Everything is measured in the processor's seconds, and panning and
zooming also as a ratio: with the outlines to without them, of the same window. For comparison, a tenth of the cells
is made a shapes layer, which is what napari has for outlines, and its seconds are multiplied by ten.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from measured import keep
from stalls import Watch, live

from napari_sam_mil.napari_compat.display import ensure_display

SIDE = (1536, 1024)
STEPS = 40


def cells(count: int) -> list[Any]:
    from sam_mil_engine.annotations.model import Annotation

    rng = np.random.default_rng(1)
    places, sizes = rng.uniform((0, 0), SIDE, (count, 2)), rng.uniform(1.5, 3, count)
    areas = shapely.buffer(shapely.points(places), sizes, quad_segs=5)
    return [Annotation(f"cell {n}", "Tumor" if n % 3 else "Stroma", area) for n, area in enumerate(areas)]


def move(viewer: Any) -> float:
    """Pan and zoom, and return the processor's seconds for a step."""
    camera = viewer.scene.camera
    begun = time.process_time()
    for step in range(STEPS):
        row, column = camera.center[-2:]
        camera.center = (row, column + (4 if step < STEPS / 2 else -4))
        camera.zoom *= 1.05 if step % 8 < 4 else 1 / 1.05
        live(0.03)
    return (time.process_time() - begun) / STEPS


def measure(count: int, folder: Path) -> dict[str, Any]:
    from napari.layers import Layer
    from napari.viewer import Viewer

    from napari_sam_mil.docks import open_dock
    from napari_sam_mil.layers.annotations import shapes_layer
    from napari_sam_mil.session.viewer import sessions_of
    from sam_mil_engine.annotations.geojson import write_geojson
    from sam_mil_engine.synthetic import make_slide

    slide, path = folder / "slide.tif", folder / "cells.geojson"
    make_slide(slide, seed=5, tumour=True, size_px0=SIDE)
    found = cells(count)
    write_geojson(path, found, info=None)
    viewer = Viewer(show=True)
    viewer.open(str(slide), plugin="napari-sam-mil")
    dock = open_dock(viewer, "Annotations")
    live(2)
    viewer.scene.camera.zoom *= 2
    without = min(move(viewer) for _ in range(3))
    watch = Watch()
    watch.phase = "loading"
    wall, processor = time.perf_counter(), time.process_time()
    dock.load(path)
    while dock.jobs.busy:
        live(0.001)
    loaded = {"wall_s": time.perf_counter() - wall, "processor_s": time.process_time() - processor}
    live(1)
    watch.phase = "moving"
    with_outlines = min(move(viewer) for _ in range(3))
    watch.phase = "saving"
    dock.save_outlines(folder / "saved.geojson")
    live(1)
    watch.stop()
    info = sessions_of(viewer).current.source.info
    begun = time.process_time()
    Layer.create(*shapes_layer(found[: count // 10], info, mpp=info.mpp))
    shapes = 10 * (time.process_time() - begun)
    viewer.close()
    return {
        "loading": loaded,
        "shapes_layer_processor_s": shapes,
        "step_ratio": with_outlines / without,
        "stalls": watch.gaps,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ensure_display():
        os.environ["XDG_CONFIG_HOME"] = folder
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "napari.yaml")
        result = measure(args.count, Path(folder))
    seconds = result["loading"]
    print(f"{args.count:,} outlines; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"  loaded in {seconds['wall_s']:.1f} s ({seconds['processor_s']:.1f} s of the processor)")
    print(f"  a shapes layer of them: {result['shapes_layer_processor_s']:.1f} s of the processor, in the window")
    print(f"  a step of panning and zooming costs {result['step_ratio']:.2f} times that without outlines")
    for phase in ("loading", "moving", "saving"):
        gaps = [gap["ms"] for gap in result["stalls"] if gap["phase"] == phase]
        long = sum(gap > 300 for gap in gaps)
        print(f"  longest stall while {phase}: {max(gaps, default=0.0):.0f} ms ({long} above 300)")
    for gap in sorted(result["stalls"], key=lambda gap: -gap["ms"])[:6]:
        print(f"{gap['ms']:8.0f} ms  {gap['phase']:10}{gap['doing'][:150]}")
    if args.json:
        keep({"count": args.count, **result}, args.json)


if __name__ == "__main__":
    main()
