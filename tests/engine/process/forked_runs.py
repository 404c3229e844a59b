"""Runs of `process` in real processes that start at once: forked off one that has imported everything.

Run as a script it is that one; :class:`ForkedRuns` is what a test talks to.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from itertools import count
from pathlib import Path
from typing import Any, Self


class ForkedRuns:
    """Starts runs, and ends them.

    One run at a time; ``moment`` is a file that always says how often the latest one reported, and where.
    """

    def __init__(self, moment: Path):
        self.moment = moment
        paths = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        )
        self._line()  # it has imported everything

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    def _line(self) -> str:
        return self._server.stdout.readline().strip()

    def start(self, slides: list[Path], project: Path, settings: Any) -> int:
        """Begin a run; return its process id."""
        self.moment.write_text("0 start")
        work = {
            "slides": [str(path) for path in slides],
            "project": str(project),
            "settings": settings.model_dump(mode="json"),
            "moment": str(self.moment),
        }
        self._server.stdin.write(json.dumps(work) + "\n")
        return int(self._line())

    def end(self) -> int:
        """Wait for the end of the run; return its exit code, the negative signal where it was killed."""
        return os.waitstatus_to_exitcode(int(self._line()))

    def run(self, slides: list[Path], project: Path, settings: Any) -> int:
        """Run undisturbed."""
        self.start(slides, project, settings)
        return self.end()

    def ended(self, seconds: float) -> bool:
        """Whether the run ends within so many seconds."""
        return bool(select.select([self._server.stdout], [], [], seconds)[0])

    def reports(self) -> int:
        """How often the run has reported so far."""
        return int(self.moment.read_text().split()[0])

    def kill_after(self, reports: int, seconds: float, pid: int) -> str | None:
        """Kill the run so many seconds after it reported so often.

        Return the stage it was in, None where it had ended.
        """
        while self.reports() < reports:
            if self.ended(0.001):
                return None
        if self.ended(seconds):
            return None
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it ended in the meantime
            return None
        return self.moment.read_text().split()[1]


def work_through(work: dict[str, Any]) -> None:
    """Process the slides; any failure of one is an error."""
    from cheap_models import use_cheap_models

    from sam_mil_engine.process.batch import process_slides
    from sam_mil_engine.settings import ProcessSettings

    use_cheap_models(features=0.005, segments=0.05)
    slides = [Path(path) for path in work["slides"]]
    with open(work["moment"], "r+b", buffering=0) as moment:
        numbers = count(1)

        def note(report: Any) -> None:
            stage = report.message if report.stage == "process" else report.stage
            os.pwrite(moment.fileno(), f"{next(numbers)} {stage}".ljust(32).encode(), 0)

        settings = ProcessSettings.parse(work["settings"])
        for item in process_slides(slides, work["project"], settings=settings, device="cpu", progress=note):
            if item.error is not None:
                raise item.error


def _say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def serve() -> None:
    """Fork a process for every line of standard input; say its id, then how it ended."""
    import cheap_models
    import cv2
    import torch  # a run asks it for the device
    import zarr

    import sam_mil_engine.annotations.geojson
    import sam_mil_engine.drawing.images
    import sam_mil_engine.features.encode
    import sam_mil_engine.process.batch
    import sam_mil_engine.segment.membership
    import sam_mil_engine.slide.image_reader
    import sam_mil_engine.slide.tissue

    del cv2, torch, zarr, cheap_models, sam_mil_engine
    gc.freeze()  # a run's collector leaves alone what it shares
    _say("ready")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                work_through(json.loads(line))
                os._exit(0)
            finally:  # never back into the loop
                traceback.print_exc()
                os._exit(1)
        _say(pid)
        _say(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    serve()
