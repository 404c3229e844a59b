"""The longest stalls of napari's window while a slide is opened, segmented, classified, prompted and edited.

    python benchmarks/stalls.py [--slide FILE] [--mpp F] [--json FILE]

Without ``--slide`` a slide is generated. A timer of 5 ms in the real window notes every gap between two of its
ticks: as long as a gap, nobody's click was answered. A second thread looks at the main thread's stack, so that the
table can say what ran. Stages come with wall and processor seconds, from opening to the result.
``napari alone`` is given the same layers, ready made, of an image that costs nothing to read; it has no prompts.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measured import keep

from napari_sam_mil.napari_compat.display import ensure_display

TICK = 0.005
PHASES = ("opening", "working", "showing", "prompting", "accepting")
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
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
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


def live(seconds: float) -> None:
    """Let the window live for a while."""
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.001)


def ours(slide: Path, project: Path, mpp: float | None) -> dict[str, Any]:
    """Open a slide, press the button, and wait for the result."""
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QApplication

    from napari_sam_mil.session.viewer import sessions_of

    viewer = Viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Analyze")
    dock.choices_card.set_project(project)
    live(2)
    watch, stages = Watch(), {}

    def stage(name: str, begun: tuple[float, float]) -> None:
        stages[name] = {"wall_s": time.perf_counter() - begun[0], "processor_s": time.process_time() - begun[1]}

    begun = everything = (time.perf_counter(), time.process_time())
    watch.phase = "opening"
    viewer.open(str(slide), plugin="napari-sam-mil")
    live(0.05)
    stage("opening", begun)
    if mpp is not None:
        sessions_of(viewer).set_mpp(sessions_of(viewer).current, mpp)
    watch.phase = "working"
    begun = (time.perf_counter(), time.process_time())
    job = dock.run("Classify")
    if job is None:
        raise SystemExit("the job did not start")
    ended, failed, done = [], [], []

    def report(progress: Any) -> None:
        if progress.stage == "classify" and progress.done:
            watch.phase = "showing"

    job.progressed.connect(report)
    job.ended.connect(lambda: ended.append(1))
    job.failed.connect(failed.append)
    job.succeeded.connect(done.append)
    while not ended:
        QApplication.processEvents()
        time.sleep(0.001)
    if failed:
        raise SystemExit(f"it failed: {failed[0]}")
    stage("Segment/Classify", begun)
    live(1.0)
    stage("to the result, and a second", everything)
    prompt(viewer, watch, stage)
    watch.stop()
    seconds = {name: float(value) for name, value in done[0].processed.seconds.items()}
    viewer.close()
    return {"stages": stages, "engine_s": seconds, "stalls": watch.gaps}


def prompt(viewer: Any, watch: Watch, stage: Any) -> None:
    """Click into the image of a slide that was analysed, and accept SAM's mask, by the hand of a test."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    from napari_sam_mil.docks import open_dock
    from napari_sam_mil.session.viewer import sessions_of

    def wait(holds: Callable[[], bool]) -> None:
        end = time.perf_counter() + 60
        while not holds():
            live(0.005)
            if time.perf_counter() > end:
                raise SystemExit("SAM did not answer within a minute")

    session = sessions_of(viewer).current
    canvas = viewer.window._qt_viewer.canvas.native
    watch.phase = "prompting"
    dock = open_dock(viewer, "Prompts")
    live(0.5)
    begun = (time.perf_counter(), time.process_time())
    dock.card.tools["positive"].click()
    wait(lambda: not dock.jobs.busy and len(session.regions) == 1)
    stage("SAM looks at the view", begun)
    for name, place in (("first mask", QPoint(0, 0)), ("next mask", QPoint(30, 20))):
        before = dock.answer
        begun = (time.perf_counter(), time.process_time())
        QTest.mouseClick(
            canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, canvas.rect().center() + place
        )
        wait(lambda before=before: dock.answer is not before)
        stage(name, begun)
        live(0.5)
    watch.phase = "accepting"
    before = session.analysis
    begun = (time.perf_counter(), time.process_time())
    dock.card.accept.click()
    wait(lambda: session.analysis is not before and not dock.editor.busy)
    stage("accepted: a segment", begun)
    live(1.0)


def napari_alone(slide: Path, project: Path, mpp: float | None) -> dict[str, Any]:
    """Give napari the same layers, ready, of an image that costs nothing to read: what no plugin can go below."""
    from napari.layers import Layer
    from napari.viewer import Viewer
    from pan import floor

    from napari_sam_mil.analysis.model import StoredResults
    from napari_sam_mil.analysis.results import predict_stored, read_stored
    from napari_sam_mil.analysis.source import SlideSource
    from napari_sam_mil.session.viewer import SlideSession
    from sam_mil_engine.slide.reader import open_slide

    viewer = Viewer(show=True)
    with open_slide(slide) as opened:
        source = SlideSource(opened, user_mpp=mpp)
        found = predict_stored(read_stored(source, StoredResults(project)), StoredResults(project))
        session = SlideSession(viewer.layers, source, found.analysis)
        layers = session.result_layers()
    live(2)
    watch = Watch()
    watch.phase = "opening"
    floor(viewer, slide)
    viewer.canvas.overlays.scale_bar.visible = True
    live(2)
    watch.phase = "showing"
    for data, words, kind in layers.values():
        viewer.add_layer(Layer.create(data, words, kind))
        live(0.01)
    live(1)
    watch.stop()
    viewer.close()
    return {"stalls": watch.gaps}


CONTENDERS = {"ours": ours, "napari alone": napari_alone}


def run(name: str, slide: Path, project: Path, mpp: float | None) -> dict[str, Any]:
    """Measure in a fresh process."""
    with tempfile.TemporaryDirectory() as home:
        told = Path(home) / "result.json"
        environment = os.environ | {"XDG_CONFIG_HOME": home, "NAPARI_CONFIG": str(Path(home) / "napari.yaml")}
        command = [sys.executable, __file__, "--slide", str(slide), "--alone", name, "--json", str(told)]
        command += ["--project", str(project), *(() if mpp is None else ("--mpp", str(mpp)))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if not told.is_file():
            raise SystemExit((done.stderr.strip() or done.stdout.strip() or f"{name}: it died").splitlines()[-1])
        return dict(json.loads(told.read_text()))


def show(slide: Path, results: dict[str, Any], most: int) -> None:
    result = results["ours"]
    print(f"{slide.name}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name, one in result["stages"].items():
        print(f"  {name:28}{one['wall_s']:7.1f} s wall {one['processor_s']:7.1f} s processor of the window")
    print("  engine: " + "  ".join(f"{name} {seconds:.1f} s" for name, seconds in result["engine_s"].items()))
    print(f"{'longest stall, ms (and how many of more than 100)':52}" + "".join(f"{name:>18}" for name in results))
    for phase in PHASES:
        line = f"  {phase:50}"
        for one in results.values():
            gaps = [gap["ms"] for gap in one["stalls"] if gap["phase"] == phase]
            line += f"{max(gaps, default=0.0):12.0f} ({sum(gap > 100 for gap in gaps):3})"
        print(line)
    for name, one in results.items():
        stalls = sorted(one["stalls"], key=lambda gap: -gap["ms"])
        print(f"{name}: {len(stalls)} stalls of more than {LISTED * 1000:.0f} ms, the longest first:")
        for gap in stalls[:most]:
            print(f"{gap['ms']:8.0f} ms  {gap['phase']:10}{gap['doing']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--mpp", type=float, help="micrometres per pixel, where the slide does not say")
    parser.add_argument("--most", type=int, default=15, help="stalls that are shown of each")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--alone", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--project", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        args.json.write_text(json.dumps(CONTENDERS[args.alone](args.slide, args.project, args.mpp)))
        return
    with tempfile.TemporaryDirectory() as folder, ensure_display():
        slide = args.slide
        if slide is None:
            from sam_mil_engine.synthetic import make_slide

            slide = Path(folder) / "generated.tif"
            make_slide(slide, seed=7, tumour=True)
        results = {name: run(name, slide, Path(folder) / "project", args.mpp) for name in CONTENDERS}
    show(slide, results, args.most)
    if args.json:
        keep({"slide": slide.name, **results}, args.json)


if __name__ == "__main__":
    main()
