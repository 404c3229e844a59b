"""One napari window in which many slides are opened, shown and closed: memory, handles and objects stay flat.

    python benchmarks/window_soak.py --slides 300 --json window_soak.json

Each slide is a file of its own. It is shown whole, then at full resolution in its middle, and closed; the Analyze
dock is open all the time. Every ``--every`` slides the window is measured, and the child process that reads each
slide first; the last figures are compared with the first. ``--napari-alone`` shows the same pixels without the
plugin: what napari itself leaves behind.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from measured import keep
from soak import write_slide

from napari_sam_mil.napari_compat.display import ensure_display

#: Different slides; the files are copies of them.
DRAWN = 12
#: Seconds within which a slide must be shown, and what it leaves must be gone.
MOST_S = 120.0


def until(holds: Callable[[], object], what: str) -> None:
    """Let the window live until something holds."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + MOST_S
    while not holds():
        QApplication.processEvents()
        time.sleep(0.002)
        if time.monotonic() > end:
            raise SystemExit(f"not within {MOST_S:.0f} s: {what}")


def live(seconds: float) -> None:
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end, "a pause")


def open_alone(viewer: Any, path: Path) -> Any:
    """Give napari the pixels of a slide as arrays."""
    import tifffile

    pixels = tifffile.imread(path)
    pyramid = [pixels[::step, ::step].copy() for step in (1, 2)]
    return viewer.add_image(pyramid, multiscale=True, rgb=True, scale=(0.5, 0.5))


def show_and_close(viewer: Any, path: Path, *, alone: bool) -> None:
    """Open a slide, look at all of it and at its pixels, and close it."""
    layer = open_alone(viewer, path) if alone else viewer.open(str(path), plugin="napari-sam-mil")[0]
    until(lambda: layer.loaded, f"the whole of {path.name}")
    height, width = layer.data[0].shape[:2]
    viewer.scene.camera.center = (height / 2 * layer.scale[0], width / 2 * layer.scale[1])
    viewer.scene.camera.zoom = 1.5 / layer.scale[0]
    until(lambda: layer.data_level == 0 and layer.loaded, f"the pixels of {path.name}")
    viewer.window._qt_viewer.canvas.screenshot()
    viewer.layers.remove(layer)
    viewer.reset_view()


def measure(viewer: Any) -> dict[str, float]:
    """Memory in MiB, open handles, threads and objects, once what is closed has gone."""
    from qtpy.QtCore import QObject
    from qtpy.QtWidgets import QApplication

    for _ in range(3):
        live(0.3)
        gc.collect()
    if sys.platform.startswith("linux"):  # what is free, but not given back yet, is not held
        ctypes.CDLL(None).malloc_trim(0)
    process = psutil.Process()
    return {
        "memory, MiB": round(process.memory_info().rss / 2**20, 1),
        "first look, MiB": round(sum(_memory(one) for one in process.children()), 1),
        "handles": process.num_fds() if hasattr(process, "num_fds") else process.num_handles(),
        "threads": process.num_threads(),
        "widgets": len(QApplication.allWidgets()),
        "Qt objects": len(viewer.window._qt_window.findChildren(QObject)),
        "Python objects": len(gc.get_objects()),
    }


def _memory(child: psutil.Process) -> float:
    """Memory in MiB of the child that reads slides first; 0 of any other."""
    try:
        return child.memory_info().rss / 2**20 if "first_look" in " ".join(child.cmdline()) else 0.0
    except psutil.Error:
        return 0.0


def kinds() -> Counter[str]:
    """Count Python objects by type."""
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())


def soak(slides: list[Path], every: int, *, alone: bool) -> dict[str, Any]:
    """Open and close all slides in one window."""
    from napari.settings import get_settings
    from napari.viewer import Viewer

    get_settings().experimental.async_ = True  # as the plugin sets it
    viewer = Viewer(show=True)
    if not alone:
        viewer.window.add_plugin_dock_widget("napari-sam-mil", "Analyze")
    live(1.0)
    begun, figures, first = time.monotonic(), {}, Counter[str]()
    for number, path in enumerate(slides, start=1):
        show_and_close(viewer, path, alone=alone)
        if number % every == 0:
            figures[number] = measure(viewer)
            first = first or kinds()
            print(number, figures[number], file=sys.stderr, flush=True)
    grown = (kinds() - first).most_common(15)
    viewer.close()
    return {"seconds": round(time.monotonic() - begun), "figures": figures, "grown": grown}


def in_a_fresh_process(count: int, every: int, *, alone: bool) -> dict[str, Any]:
    """Draw the slides and run :func:`soak` with settings of its own."""
    with tempfile.TemporaryDirectory(prefix="window-soak-") as home:
        place = Path(home)
        for number in range(count):
            path = place / f"slide-{number:04d}.tiff"
            if number < DRAWN:
                write_slide(path, number)
            else:
                shutil.copyfile(place / f"slide-{number % DRAWN:04d}.tiff", path)
        environment = os.environ | {"XDG_CONFIG_HOME": home, "NAPARI_CONFIG": str(place / "napari.yaml")}
        command = [sys.executable, __file__, "--every", str(every), "--folder", home]
        command += ["--napari-alone"] * alone
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slides", type=int, default=300)
    parser.add_argument("--every", type=int, default=50, help="slides between two measurements")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--napari-alone", action="store_true", help="show the pixels without the plugin")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder is not None:
        slides = sorted(args.folder.glob("slide-*.tiff"))
        print(json.dumps(soak(slides, args.every, alone=args.napari_alone)))
        return
    if args.slides < 2 * args.every:
        parser.error("--slides must be at least twice --every")
    with ensure_display():
        result = in_a_fresh_process(args.slides, args.every, alone=args.napari_alone)
    numbers = list(result["figures"])
    print(f"{'':16}" + "".join(f"{number:>10}" for number in numbers) + f"{'ratio':>10}")
    for name in result["figures"][numbers[0]]:
        values = [result["figures"][number][name] for number in numbers]
        ratio = values[-1] / values[0] if values[0] else 1.0
        print(f"{name:16}" + "".join(f"{value:>10,}" for value in values) + f"{ratio:>10.3f}")
    print(f"{result['seconds']} s; Python objects that became more:")
    for name, more in result["grown"]:
        print(f"{more:8} {name}")
    keep(result, args.json) if args.json else None


if __name__ == "__main__":
    main()
