"""A scheduler and two workers, real processes: lost in the middle of a slide, told to stop, left alone.

The tests use up the cluster, in this order: a worker, the patience of the other one, the scheduler.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cheap_models
import pytest
from cheap_models import SETTINGS, use_cheap_models
from whole_runs import states

import sam_mil_engine.cluster.slides
from sam_mil_engine.bag import h5
from sam_mil_engine.cluster.slides import process_on_cluster
from sam_mil_engine.errors import Cancelled, ProjectError
from sam_mil_engine.process.batch import correct_lost_rows, process_slides
from sam_mil_engine.process.project import Project
from sam_mil_engine.process.results import ProcessRow
from sam_mil_engine.progress import Progress
from tiny_slides import write_tiny_slide

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


@dataclass
class Cluster:
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: dict[str, subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers with two threads and one GPU each, as they say: a slide at a time."""
    folder = tmp_path_factory.mktemp("cluster")
    models, file = Path(cheap_models.__file__), folder / "scheduler.json"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}

    def begin(name: str, *options: str) -> subprocess.Popen[bytes]:
        log = (folder / f"{name}.log").open("wb")
        command = [sys.executable, "-m", f"distributed.cli.dask_{name.split('-', maxsplit=1)[0]}", *options]
        with log:
            return subprocess.Popen(
                [*command, "--no-dashboard", "--scheduler-file", str(file)],
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
            )

    scheduler = begin("scheduler", "--host", "127.0.0.1", "--port", "0")
    options = ["--no-nanny", "--nthreads", "2", "--resources", "GPU=1", "--preload", str(models)]
    workers = {name: begin(f"worker-{name}", *options) for name in "ab"}
    from distributed import Client

    while not file.exists():
        assert scheduler.poll() is None, (folder / "scheduler.log").read_text()
        time.sleep(0.1)
    with Client(scheduler_file=str(file), timeout=60) as client:
        client.wait_for_workers(2, timeout=120)
        address = client.scheduler.address
    yield Cluster(address, scheduler, workers)
    for process in (*workers.values(), scheduler):
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def _cheap() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        use_cheap_models(put=patch.setattr)
        yield


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four slides, which no test changes."""
    folder = tmp_path_factory.mktemp("slides")
    return [write_tiny_slide(folder / f"s{number}.tiff", seed=number) for number in range(4)]


@pytest.fixture(scope="module")
def alone(_cheap: None, slides: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bags of a run on one machine."""
    project = tmp_path_factory.mktemp("alone")
    for item in process_slides(slides, project, settings=SETTINGS, device="cpu"):
        assert item.error is None
    return bags(project)


def bags(project: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((project / "bags").glob("*.h5"))}


@dataclass
class Watch:
    """Follows the slides, and does ``act`` once, when ``count`` of them are in the middle of their features."""

    act: Callable[[], None]
    count: int = 1
    begun: Counter[str] = field(default_factory=Counter)
    first_row: dict[tuple[str, int], int] = field(default_factory=dict)
    working: set[str] = field(default_factory=set)
    busiest: int = 0
    encoding: set[str] = field(default_factory=set)
    acted: bool = False

    def __call__(self, report: Progress) -> None:
        if not report.slide:
            return
        if report.stage == "process" and report.message == "tissue":
            self.begun[report.slide] += 1
            self.working.add(report.slide)
            self.busiest = max(self.busiest, len(self.working))
        if report.stage == "process" and report.done >= report.total:
            self.working.discard(report.slide)
            self.encoding.discard(report.slide)
        if report.stage == "features":
            self.first_row.setdefault((report.slide, self.begun[report.slide]), report.done)
            if report.done > 8:  # a block of four is committed after its report
                self.encoding.add(report.slide)
        if len(self.encoding) >= self.count and not self.acted:
            self.acted = True
            self.act()


def test_a_worker_is_killed_in_the_middle_of_a_slide(
    cluster: Cluster, slides: list[Path], alone: dict[str, bytes], tmp_path: Path
) -> None:
    project, half = tmp_path / "many", dict[str, int]()

    def kill() -> None:
        cluster.workers["a"].send_signal(signal.SIGKILL)
        cluster.workers["a"].wait()
        half.update({bag.stem: len(h5.read_stages(bag)) for bag in (project / "bags").glob("*.h5")})

    watch = Watch(kill, count=2)
    results = list(
        process_on_cluster(
            slides, project, settings=SETTINGS, device="auto", address=cluster.address, progress=watch
        )
    )
    assert watch.acted
    assert all(stages < 5 for stages in half.values()), "no slide was in the middle"
    assert [item.error for item in results] == [None] * 4
    again = [name for name, times in watch.begun.items() if times > 1]
    assert len(again) == 1, f"the slide of the lost worker begins once more: {watch.begun}"
    assert watch.first_row[again[0], 2] >= 8, "what it had committed is used"
    assert watch.busiest <= 3, "one slide a GPU at a time, though there are two threads (and the lost one)"
    assert states(project) == dict.fromkeys(("s0", "s1", "s2", "s3"), "done")
    assert bags(project) == alone


def test_a_run_that_is_cancelled_stops_its_workers(
    cluster: Cluster, slides: list[Path], alone: dict[str, bytes], tmp_path: Path
) -> None:
    def stop() -> None:
        raise Cancelled("stopped by the test")

    project, watch = tmp_path / "many", Watch(stop)
    with pytest.raises(Cancelled):
        list(process_on_cluster(slides, project, settings=SETTINGS, address=cluster.address, progress=watch))
    assert watch.acted
    assert set(states(project).values()) <= {"cancelled", "done"}
    assert "cancelled" in states(project).values()
    assert len(states(project)) < 4, "slides that wait are not begun"
    results = process_on_cluster(slides, project, settings=SETTINGS, address=cluster.address)
    assert [item.error for item in results] == [None] * 4
    assert bags(project) == alone


def test_a_scheduler_that_goes_while_it_is_asked(
    cluster: Cluster, slides: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(client):
        raise OSError("Timed out trying to connect")

    monkeypatch.setattr(sam_mil_engine.cluster.slides, "capacity", refused)
    with pytest.raises(ProjectError, match="the connection to the Dask scheduler is lost; 0 of 4 slides are done"):
        list(process_on_cluster(slides, tmp_path / "many", settings=SETTINGS, address=cluster.address))


def test_the_scheduler_goes_in_the_middle(
    cluster: Cluster, slides: list[Path], alone: dict[str, bytes], tmp_path: Path
) -> None:
    def kill() -> None:
        cluster.scheduler.kill()
        cluster.scheduler.wait()

    project = tmp_path / "many"
    with pytest.raises(
        ProjectError, match="the connection to the Dask scheduler is lost; 0 of 4 slides are done"
    ) as caught:
        list(process_on_cluster(slides, project, settings=SETTINGS, address=cluster.address, progress=Watch(kill)))
    assert caught.value.where == cluster.address
    assert caught.value.hint is not None
    assert "run the same command" in caught.value.hint
    assert set(states(project).values()) == {"cancelled"}
    for item in process_slides(slides, project, settings=SETTINGS, device="cpu"):
        assert item.error is None
    assert bags(project) == alone


def test_lines_of_killed_processes_are_corrected(tmp_path: Path) -> None:
    home = Project(tmp_path)
    for name in ("gone", "alive"):
        home.record(ProcessRow(name, f"/x/{name}.svs", "running"))
    half = tmp_path / "bags" / ".gone.h5.123.tmp"
    half.write_bytes(b"half a bag")
    other = tmp_path / "bags" / ".gone.too.h5.123.tmp"
    other.write_bytes(b"half a bag of a slide whose name begins alike")
    with home.lock("alive"):
        correct_lost_rows(home)
    assert states(tmp_path) == {"gone": "cancelled", "alive": "running"}
    row = home.rows()["gone"]
    assert "ended before the slide was finished" in row.error
    assert "Run process again" in row.hint
    assert not half.exists()
    assert other.exists()
