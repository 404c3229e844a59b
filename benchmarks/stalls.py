"""The longest stalls of napari's window while a slide is opened, segmented and classified.

    python benchmarks/stalls.py [--slide FILE] [--json FILE]

Without ``--slide`` a slide is generated. A timer of 5 ms in the real window notes every gap between two of its
ticks: as long as a gap, nobody's click was answered. A second thread looks at the main thread's stack meanwhile, so
that the table can say what ran. Stages come with wall and processor seconds, from opening to the result.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import os
import re
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from measured import keep

from napari_sam_mil.display import some_display

TICK = 0.005
#: Seconds of a gap from which it is listed.
LISTED = 0.05
#: Frames of the stack that are shown: the innermost ones of the plugin, the engine, napari or vispy.
NAMED = ("napari_sam_mil", "sam_mil_engine", "napari", "vispy", "torch")


class Watch:
    """Gaps of a timer in the main thread, and what that thread was seen doing in each of them."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.phase, self.gaps = "", []
        self._main, self._last = threading.get_ident(), time.perf_counter()
        self._seen: collections.Counter[str] = collections.Counter()
        self._end = threading.Event()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(int(TICK * 1000))
        threading.Thread(target=self._look, daemon=True).start()

    def _tick(self) -> None:
        now = time.perf_counter()
        gap = now - self._last - TICK
        if gap > LISTED:
            doing = (
                self._seen.most_common(1)[0][0] if self._seen else "not seen: shorter than a look, or not running"
            )
            self.gaps.append({"ms": 1000 * gap, "phase": self.phase, "doing": doing})
        self._seen = collections.Counter()
        self._last = now

    def _look(self) -> None:
        # faulthandler makes no objects of the running frames; sys._current_frames() does, and has crashed
        with tempfile.TemporaryFile("w+") as file:
            while not self._end.wait(0.01):
                if time.perf_counter() - self._last > 3 * TICK:
                    file.seek(0)
                    file.truncate()
                    faulthandler.dump_traceback(file, all_threads=True)
                    file.seek(0)
                    self._seen[describe(file.read(), self._main)] += 1

    def stop(self) -> None:
        self._end.set()
        self._timer.stop()


def describe(dump: str, thread: int) -> str:
    """Name the innermost frame of a thread, and from where our own code, napari or vispy called it."""
    section = next((part for part in dump.split("\n\n") if f"0x{thread:016x}" in part.splitlines()[0]), "")
    frames = re.findall(r'File "(.+)", line (\d+) in (.+)', section)
    if not frames:
        return "no Python code"
    places: list[str] = []
    for path, line, function in frames:
        parts = Path(path).parts
        package = next((name for name in NAMED if name in parts), None)
        if package is not None and not any(f"{package}/{parts[-1]}:" in place for place in places):
            places.append(f"{package}/{parts[-1]}:{line} {function}")
    return " < ".join([f"{Path(frames[0][0]).name} {frames[0][2]}", *places[:4]])


def run(slide: Path, project: Path) -> dict[str, Any]:
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QApplication

    viewer = Viewer(show=True)
    app = QApplication.instance()
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Analyze")
    dock.choices_card.set_project(project)

    def live(seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            app.processEvents()
            time.sleep(0.001)

    live(2)
    watch, stages = Watch(), {}

    def stage(name: str, begun: tuple[float, float]) -> None:
        stages[name] = {"wall_s": time.perf_counter() - begun[0], "processor_s": time.process_time() - begun[1]}

    begun = everything = (time.perf_counter(), time.process_time())
    watch.phase = "opening"
    viewer.open(str(slide), plugin="napari-sam-mil")
    live(0.05)
    stage("opening", begun)
    watch.phase = "Segment/Classify"
    begun = (time.perf_counter(), time.process_time())
    job = dock.run("Classify")
    if job is None:
        raise SystemExit("the job did not start")
    ended, failed, done = [], [], []
    job.ended.connect(lambda: ended.append(1))
    job.failed.connect(failed.append)
    job.succeeded.connect(done.append)
    while not ended:
        app.processEvents()
        time.sleep(0.001)
    if failed:
        raise SystemExit(f"it failed: {failed[0]}")
    stage("Segment/Classify", begun)
    watch.phase = "layers"
    begun = (time.perf_counter(), time.process_time())
    live(1.0)
    stage("to the result, everything", everything)
    watch.stop()
    seconds = {name: float(value) for name, value in done[0].processed.seconds.items()}
    result = {"slide": slide.name, "stages": stages, "engine_s": seconds, "stalls": watch.gaps}
    viewer.close()
    return result


def show(result: dict[str, Any], most: int) -> None:
    print(f"{result['slide']}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, one in result["stages"].items():
        print(f"  {name:28}{one['wall_s']:7.1f} s wall {one['processor_s']:7.1f} s processor")
    print("  engine: " + "  ".join(f"{name} {seconds:.1f} s" for name, seconds in result["engine_s"].items()))
    stalls = sorted(result["stalls"], key=lambda one: -one["ms"])
    print(f"{len(stalls)} stalls of more than {LISTED * 1000:.0f} ms, the longest first:")
    for one in stalls[:most]:
        print(f"{one['ms']:8.0f} ms  {one['phase']:18}{one['doing']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--most", type=int, default=15, help="stalls that are shown")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, some_display():
        os.environ["XDG_CONFIG_HOME"] = folder
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "napari.yaml")
        slide = args.slide
        if slide is None:
            from sam_mil_engine.workflow.synthetic import make_slide

            slide = Path(folder) / "generated.tif"
            make_slide(slide, seed=7, tumour=True)
        result = run(slide, Path(folder) / "project")
    show(result, args.most)
    if args.json:
        keep(result, args.json)


if __name__ == "__main__":
    main()
