"""Moving over a large slide in napari: this reader against napari-wsi and a plain dask pyramid, in one run.

    python benchmarks/pan.py [--slide FILE] [--napari-wsi FOLDER] [--contender NAME ...] [--json FILE]

Without ``--slide`` a tiled JPEG pyramid of 40,000 x 30,000 px is made. ``--napari-wsi`` names a folder into which
``pip install --no-deps --target FOLDER napari-wsi universal-pathlib pathlib-abc fsspec`` was run; where napari-wsi
is not to be had, the run says so and goes on. Every contender moves the same camera over the same slide, each in a
fresh process with a window of 1920 x 1080, drawn by Xvfb where there is no display.

Columns: *shown* is the time from setting the camera until a frame with all tiles has been drawn (glFinish
included), *blocked* the longest time in which the window answered nothing. ``floor`` is napari alone: the same
camera over images that cost nothing to read, so that its figures are those that no reader can go below.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from large_slide import make_large_slide
from measured import keep

from napari_sam_mil.napari_compat.display import ensure_display

SCREEN = (1920, 1080)
CONTENDERS = ("ours", "napari-wsi", "dask", "floor")
COLUMNS = ("reading", "shown", "blocked")
#: Seconds between two steps of the pan in which somebody looks at what came.
LOOK = 0.3


def ours(viewer: Any, path: Path) -> None:
    viewer.open(str(path), plugin="napari-sam-mil")


def napari_wsi(viewer: Any, path: Path) -> None:
    from napari_wsi.backends.openslide import OpenSlideStore

    store = OpenSlideStore(path)
    mpp = store.resolution or (1.0, 1.0)
    store.to_viewer(viewer, scale=mpp)


def dask_pyramid(viewer: Any, path: Path) -> None:
    """What is written in an afternoon: dask arrays of 512 px chunks, each read by OpenSlide when asked for."""
    import dask.array as da
    import openslide

    slide = openslide.OpenSlide(path)

    def block(level: int, block_info: Any = None) -> np.ndarray:
        (top, bottom), (left, right) = block_info[None]["array-location"][:2]
        scale = slide.level_downsamples[level]
        region = slide.read_region((round(left * scale), round(top * scale)), level, (right - left, bottom - top))
        return np.asarray(region.convert("RGB"))

    levels = []
    for level, (width, height) in enumerate(slide.level_dimensions):
        chunks = da.core.normalize_chunks((512, 512, 3), shape=(height, width, 3), dtype=np.uint8)
        levels.append(
            da.map_blocks(block, level, dtype=np.uint8, chunks=chunks, meta=np.zeros((0, 0, 3), np.uint8))
        )
    mpp = float(slide.properties.get("openslide.mpp-x", 1))
    viewer.add_image(levels, multiscale=True, rgb=True, scale=(mpp, mpp))


def floor(viewer: Any, path: Path) -> None:
    """Images that cost nothing to read: one row of pixels, seen as many times as there are rows."""
    from sam_mil_engine.slide.pyramid import open_pyramid
    from sam_mil_engine.slide.reader import open_slide

    with open_slide(path) as slide:
        shapes = [level.shape for level in open_pyramid(slide)]
        mpp = (slide.info.mpp or (1.0, 1.0))[0]
    row = np.random.default_rng(0).integers(0, 256, (1, shapes[0][1], 3), dtype=np.uint8)
    levels = [np.broadcast_to(row[:, : shape[1]], shape) for shape in shapes]
    viewer.add_image(levels, multiscale=True, rgb=True, scale=(mpp, mpp))


OPENERS = {"ours": ours, "napari-wsi": napari_wsi, "dask": dask_pyramid, "floor": floor}


class Rider:
    """Sets the camera of a real window and watches when the image is there."""

    def __init__(self, viewer: Any):
        from qtpy.QtWidgets import QApplication

        self.viewer, self.app = viewer, QApplication.instance()
        self.layer = viewer.layers[0]
        self.scale = float(self.layer.scale[-1])
        self._version = self._drawn_from = 0
        self.reading = 0.0
        self._watch_reading()
        self.shown_at: float | None = None
        self.layer.events.set_data.connect(self._on_data)
        draws = viewer.window._qt_viewer.canvas._scene_canvas.events.draw
        draws.connect(self._before, position="first")
        draws.connect(self._after, position="last")

    def _watch_reading(self) -> None:
        """Time what napari spends on getting pixels, in whatever thread and from whatever array."""
        request = self.layer._slicing_state._slice_request_class
        call = request.__call__

        def timed(one: Any) -> Any:
            start = time.perf_counter()
            response = call(one)
            self.reading += time.perf_counter() - start
            return response

        request.__call__ = timed

    def _on_data(self, _event: Any = None) -> None:
        self._version += 1

    def _before(self, _event: Any) -> None:
        self._drawn_from = self._version

    def _after(self, _event: Any) -> None:
        from vispy import gloo

        # napari asks for tiles in its own draw callback, which ran just before: is anything still to come?
        if self.shown_at is None and self.layer.loaded and self._drawn_from == self._version:
            gloo.finish()
            self.shown_at = time.perf_counter()

    def move(self, x: float, y: float, zoom: float) -> tuple[float, float, float]:
        """Show level-0 (x, y) in the middle at ``zoom`` canvas pixels a level-0 pixel.

        Returns milliseconds: of reading, until shown, of the longest block.
        """
        self.shown_at, longest, self.reading = None, 0.0, 0.0
        start = time.perf_counter()
        camera = self.viewer.scene.camera
        camera.center, camera.zoom = (y * self.scale, x * self.scale), zoom / self.scale
        while self.shown_at is None:
            before = time.perf_counter()
            self.app.processEvents()
            longest = max(longest, time.perf_counter() - before)
            if before - start > 60:
                raise SystemExit("the image did not come within a minute")
        return 1000 * self.reading, 1000 * (self.shown_at - start), 1000 * longest

    def rest(self, seconds: float) -> None:
        """Let the window live for a while."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.app.processEvents()
            time.sleep(0.002)


def rides(size: tuple[int, int], canvas: tuple[int, int], most: int) -> Iterator[tuple[str, float, list[Any]]]:
    """Name, seconds between the steps, and (x, y, zoom) of every step."""
    width, height = size
    step, rows = canvas[0] / 2, [height * part for part in (0.2, 0.5, 0.8)]
    count = int(min(most + 1, (width - canvas[0]) // step))
    columns = [canvas[0] / 2 + step * number for number in range(count)]
    yield "to the start", 0.0, [(columns[0], rows[0], 1.0)]
    yield "pan, cold", 0.0, [(x, rows[0], 1.0) for x in columns[1:]]
    yield "pan, back", 0.0, [(x, rows[0], 1.0) for x in columns[-2::-1]]
    yield "to the second row", 0.5, [(columns[0], rows[1], 1.0)]
    yield "pan, cold, looking between", LOOK, [(x, rows[1], 1.0) for x in columns[1:]]
    zooms = [2.0**power for power in np.arange(-5, 0.5, 0.5)]
    places = [(width * part, rows[2]) for part in (0.25, 0.75)]
    yield "zoom in, cold", 0.0, [(x, y, zoom) for x, y in places for zoom in zooms]
    yield "zoom out, back", 0.0, [(*places[-1], zoom) for zoom in zooms[-2::-1]]


def contend(name: str, path: Path, steps_at_most: int) -> dict[str, Any]:
    """Let one contender ride in this process."""
    import psutil
    from napari.viewer import Viewer

    process = psutil.Process()
    viewer = Viewer(show=False)
    viewer.window.show()
    window = viewer.window._qt_window
    window.setGeometry(0, 0, *SCREEN)
    viewer.window._qt_viewer.dockLayerList.hide()
    viewer.window._qt_viewer.dockLayerControls.hide()
    before = process.memory_info().rss
    begin = time.perf_counter()
    OPENERS[name](viewer, path)
    opened = time.perf_counter() - begin
    rider = Rider(viewer)
    rider.rest(1.0)
    canvas = tuple(int(side) for side in viewer.canvas.size[::-1])
    size = rider.layer.data[0].shape[1::-1]
    result: dict[str, Any] = {"opened_s": opened, "canvas": canvas, "rides": {}}
    most = 0
    for ride, pause, steps in rides(size, canvas, steps_at_most):
        times = []
        for x, y, zoom in steps:
            times.append(rider.move(x, y, zoom))
            most = max(most, process.memory_info().rss)
            rider.rest(pause)
        if not ride.startswith("to "):
            result["rides"][ride] = dict(zip(COLUMNS, zip(*times, strict=True), strict=True))
    result["memory_mib"] = (most - before) / 2**20
    viewer.close()
    return result


def run(name: str, path: Path, folder: str | None, steps: int) -> dict[str, Any]:
    """Run a contender in a fresh process; what it could not do stands under ``error``."""
    where = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {
            "PYTHONPATH": where,
            "NAPARI_CONFIG": str(Path(home) / "napari.yaml"),
            "XDG_CONFIG_HOME": home,
        }
        told = Path(home) / "result.json"
        command = [sys.executable, __file__, "--slide", str(path), "--alone", name, "--json", str(told)]
        command += ["--steps", str(steps)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if told.is_file():
            return dict(json.loads(told.read_text()))
    words = (done.stderr.strip() or done.stdout.strip() or "it died").splitlines()[-1]
    return {"error": words}


def table(results: dict[str, Any]) -> None:
    print(
        f"{'ms (median and 95th percentile)':30}{'':12}"
        + "".join(f"{name:>18}" for name in COLUMNS)
        + "   reading, ratio"
    )
    good = {name: result for name, result in results.items() if "rides" in result}
    for ride in next(iter(good.values()))["rides"]:
        for name, result in good.items():
            line = f"{ride:30}{name:12}"
            for column in COLUMNS:
                values = np.asarray(result["rides"][ride][column])
                line += f"{np.median(values):10.1f}{np.percentile(values, 95):8.1f}"
            if "ours" in good:
                own, other = (np.sum(one["rides"][ride]["reading"]) for one in (good["ours"], result))
                line += f"{other / own:15.1f}x"
            print(line)
    for name, result in results.items():
        if "rides" in result:
            print(
                f"{name}: opened in {result['opened_s']:.2f} s, memory at most {result['memory_mib']:.0f} MiB more"
            )
        else:
            print(f"{name}: absent ({result['error']})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--napari-wsi", metavar="FOLDER")
    parser.add_argument("--contender", action="append", choices=CONTENDERS)
    parser.add_argument("--alone", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=32, help="steps of half a canvas in each pan")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.alone:
        args.json.write_text(json.dumps(contend(args.alone, args.slide, args.steps)))
        return
    with tempfile.TemporaryDirectory() as folder, ensure_display(size=SCREEN):
        path = args.slide or Path(folder) / "large.tif"
        if not args.slide:
            make_large_slide(path)
        print(f"{path.name}, {path.stat().st_size / 2**20:.0f} MiB; {os.cpu_count()} cores, {platform.machine()}")
        results = {name: run(name, path, args.napari_wsi, args.steps) for name in args.contender or CONTENDERS}
    canvas = next(result["canvas"] for result in results.values() if "canvas" in result)
    print(f"canvas {canvas[0]} x {canvas[1]} px")
    table(results)
    if args.json:
        keep(results, args.json)


if __name__ == "__main__":
    main()
