"""Many slides through ``process`` while faults strike: good ones are done, bad ones are named, nothing is left.

    python benchmarks/soak.py --slides 200 --json soak.json

Faults: the process is killed, files vanish, the disk is full once, memory runs out once, a read hangs; some slides
are broken, and some crash whoever reads them.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import tifffile

sys.path.insert(0, str(Path(__file__).parent))

from measured import keep
from soak_worker import SITE

#: Runs after which what is not done counts as lost.
MOST_RUNS = 12


def write_slide(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = np.full((512, 640, 3), 244, np.uint8)
    cv2.ellipse(image, (320, 256), (250, 200), 0, 0, 360, (225, 150, 190), -1)
    for _ in range(12):
        spot = rng.normal((320, 256), (80, 60)).astype(int)
        cv2.circle(image, spot.tolist(), int(rng.integers(8, 30)), (120, 60, 150), -1)
    noisy = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    options = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate", "resolutionunit": 3}
    tifffile.imwrite(path, noisy, resolution=(20000, 20000), **options)


def write_slides(folder: Path, count: int) -> dict[str, str]:
    """Write good slides and one bad one in ten; return bad slide -> what is wrong with it."""
    folder.mkdir()
    bad: dict[str, str] = {}
    kinds = ("crash", "truncated", "empty", "text")
    for number in range(count):
        kind = kinds[number // 10 % len(kinds)] if number % 10 == 7 else ""
        path = folder / f"{kind or 'slide'}-{number:03d}.tiff"
        write_slide(path, number)
        whole = path.read_bytes()
        if kind:
            bad[path.stem] = kind
        if kind in ("truncated", "empty", "text"):
            path.write_bytes({"truncated": whole[:9000], "empty": b"", "text": b"<html>404</html>"}[kind])
    return bad


class Soak:
    """The runs, and what strikes them from outside."""

    def __init__(self, place: Path, count: int, seed: int):
        self.slides, self.project, self.fired = place / "slides", place / "project", place / "fired"
        self.temporary = place / "tmp"
        self.bad = write_slides(self.slides, count)
        names = "\n".join(path.name for path in sorted(self.slides.iterdir()))
        (place / "names.txt").write_text(names, encoding="utf-8")
        self.rng, self.count = random.Random(seed), count
        self.seen: set[int] = set()
        self.memory: list[list[float]] = []
        self.struck: list[str] = []
        site = place / "site"
        for folder in (self.fired, self.temporary, site):
            folder.mkdir()
        (site / "sitecustomize.py").write_text(SITE, encoding="utf-8")
        paths = os.pathsep.join([str(site), *sys.path[1:]])
        self.environment = {
            **os.environ,
            "PYTHONPATH": paths,
            "TMPDIR": str(self.temporary),
            "OMP_NUM_THREADS": "1",
        }

    def run(self, kill_after: int | None) -> int:
        """Run once; ``kill_after`` so many slides the process is killed."""
        command = [sys.executable, str(Path(__file__).with_name("soak_worker.py"))]
        command += [str(self.slides), str(self.project), str(self.fired)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, env=self.environment, text=True)
        self.seen.add(worker.pid)
        self.memory.append([])
        assert worker.stdout is not None
        for ended, _ in enumerate(worker.stdout, start=1):
            self._look(worker.pid)
            self._strike(ended)
            if ended == kill_after:
                time.sleep(self.rng.uniform(0, 1))
                worker.kill()
                self.struck.append(f"killed after {ended} slides")
        return worker.wait()

    def _look(self, pid: int) -> None:
        try:
            process = psutil.Process(pid)
            self.memory[-1].append(process.memory_info().rss / 2**20)
            self.seen |= {child.pid for child in process.children(recursive=True)}
        except psutil.Error:
            return

    def _strike(self, ended: int) -> None:
        """From outside: a file vanishes, and the child that reads slides first stops answering, once each."""
        if ended == 4 and not (self.fired / "vanished").exists():
            path = sorted(self.slides.glob("slide-*"))[-1]
            path.unlink()
            (self.fired / "vanished").touch()
            self.bad[path.stem] = "vanished"
            self.struck.append(f"{path.stem} vanished")
        if ended == 6 and hasattr(signal, "SIGSTOP") and not (self.fired / "hung").exists():
            for pid in self.seen:
                if psutil.pid_exists(pid) and "first_look" in " ".join(_command(pid)):
                    os.kill(pid, signal.SIGSTOP)
                    (self.fired / "hung").touch()
                    self.struck.append("a read hung")

    def states(self) -> dict[str, Any]:
        from sam_mil_engine.process.project import Project

        return Project(self.project).rows()


def _command(pid: int) -> list[str]:
    try:
        return list(psutil.Process(pid).cmdline())
    except psutil.Error:
        return []


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slides", type=int, default=200)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    place, begun = Path(tempfile.mkdtemp(prefix="soak-")), time.monotonic()
    soak = Soak(place, args.slides, args.seed)
    for number in range(MOST_RUNS):
        known = len(soak.states()) if number else 0
        kill_after = known + soak.rng.randrange(4, 10) if number < args.kills else None
        code = soak.run(kill_after)
        failed = {name for name, row in soak.states().items() if row.state != "done"}
        print(
            f"run {number + 1}: exit {code}, {len(soak.states()) - len(failed)} done, {len(failed)} not", flush=True
        )
        if kill_after is None and failed <= set(soak.bad):
            break
    report = _report(soak, time.monotonic() - begun)
    for name, value in report.items():
        print(f"{name:>16}: {value}")
    keep(report, args.json)
    shutil.rmtree(place)
    if report["verdict"] != "good":
        raise SystemExit(1)


def _report(soak: Soak, seconds: float) -> dict[str, Any]:
    rows = soak.states()
    good = {path.stem for path in soak.slides.iterdir()} - set(soak.bad)
    lost = sorted(name for name in good if name not in rows or rows[name].state != "done")
    unnamed = sorted(name for name in soak.bad if name not in rows or not rows[name].error)
    litter = [path.name for path in soak.project.rglob(".*") if path.suffix != ".lock"]
    litter += [path.name for path in soak.temporary.rglob("*") if "torchinductor" not in path.name]  # torch's own
    orphans = [pid for pid in soak.seen if psutil.pid_exists(pid) and "sam_mil" in " ".join(_command(pid))]
    longest = max(soak.memory, key=len)
    quarter = max(1, len(longest) // 4)
    quarters = [statistics.median(longest[-(n + 1) * quarter :][:quarter] or [0.0]) for n in (3, 2, 1, 0)]
    grown = quarters[-1] - quarters[-2]
    struck = [*soak.struck, *sorted({"disk full", "out of memory"} & {path.name for path in soak.fired.iterdir()})]
    fine = not (lost or unnamed or litter or orphans) and grown < 100
    return {
        "slides": soak.count,
        "good": len(good),
        "lost": lost,
        "bad": len(soak.bad),
        "not named": unnamed,
        "faults": struck,
        "runs": len(soak.memory),
        "litter": litter,
        "orphans": orphans,
        "quarters, MiB": [round(value, 1) for value in quarters],
        "grown, MiB": round(grown, 1),
        "peak, MiB": round(max(max(run, default=0) for run in soak.memory), 1),
        "seconds": round(seconds),
        "verdict": "good" if fine else "bad",
    }


if __name__ == "__main__":
    main()
