"""Jobs: progress, exactly one end, cancel, and no window that waits."""

from __future__ import annotations

import threading

import pytest

from napari_sam_mil.background.eta import Eta, duration
from napari_sam_mil.background.jobs import Job
from sam_mil_engine.errors import SlideError
from sam_mil_engine.progress import Progress


class Watch:
    """Records what a job says, and in which thread."""

    def __init__(self, job: Job):
        self.events: list[tuple[str, object]] = []
        self.threads: set[int] = set()
        job.progressed.connect(lambda item: self._note("progress", item))
        job.succeeded.connect(lambda item: self._note("succeeded", item))
        job.failed.connect(lambda item: self._note("failed", item))
        job.cancelled.connect(lambda: self._note("cancelled", None))
        job.ended.connect(lambda: self._note("ended", None))

    def _note(self, name: str, item: object) -> None:
        self.events.append((name, item))
        self.threads.add(threading.get_ident())

    @property
    def ends(self) -> list[str]:
        return [name for name, _ in self.events if name != "progress"]


def run(qtbot, work, *, then=lambda job: None):
    job = Job(work)
    watch = Watch(job)
    with qtbot.waitSignal(job.ended):
        job.start()
        then(job)
    return watch


def test_a_job_works_in_another_thread_and_tells_in_this_one(qtbot):
    watch = run(qtbot, lambda progress: progress(Progress("features", 1, 1)) or threading.get_ident())
    assert watch.ends == ["succeeded", "ended"]
    worker = dict(watch.events)["succeeded"]
    assert worker != threading.get_ident()
    assert watch.threads == {threading.get_ident()}


def test_thousands_of_reports_are_thinned_out_but_the_last_arrives(qtbot):
    def work(progress):
        for number in range(1, 5001):
            progress(Progress("features", number, 5000, "tiles"))

    reports = [item.done for name, item in run(qtbot, work).events if name == "progress"]
    assert len(reports) < 200
    assert reports[-1] == 5000


def test_a_stage_that_waits_is_told_at_once_and_not_again_and_again(qtbot):
    def work(progress):
        for stage in ("tiles", "features"):
            for _ in range(2500):
                progress(Progress(stage, 0, 50))

    reports = [item.stage for name, item in run(qtbot, work).events if name == "progress"]
    assert list(dict.fromkeys(reports)) == ["tiles", "features"]
    assert len(reports) < 200


def test_cancel_stops_at_the_next_report(qtbot):
    begun, told = threading.Event(), threading.Event()
    after = []

    def work(progress):
        progress(Progress("features", 1, 3))
        begun.set()
        told.wait()
        for number in (2, 3):
            after.append(number)
            progress(Progress("features", number, 3))

    watch = run(qtbot, work, then=lambda job: (begun.wait(), job.cancel(), told.set()))
    assert watch.ends == ["cancelled", "ended"]
    assert after == [2]


def test_an_error_arrives_whole(qtbot):
    def work(_progress):
        raise SlideError("no tissue was found", where="a.svs", hint="Try another preset")

    watch = run(qtbot, work)
    assert watch.ends == ["failed", "ended"]
    error = dict(watch.events)["failed"]
    assert isinstance(error, SlideError)
    assert error.__traceback__ is not None


def test_waiting_says_whether_it_is_over(qtbot):
    gate = threading.Event()
    job = Job(lambda _progress: gate.wait(5))
    with qtbot.waitSignal(job.ended):
        job.start()
        assert job.running
        assert not job.wait(0.05)
        gate.set()
        assert job.wait(5)
    assert not job.running


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (12.4, "12 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text


def test_pace_tells_rate_and_rest():
    eta = Eta(Progress("features", 100, 500, "tiles"), now=10.0)
    assert eta.describe(Progress("features", 100, 500, "tiles"), now=10.0) == "100 of 500 tiles"
    assert eta.describe(Progress("features", 200, 500, "tiles"), now=14.0) == "200 of 500 tiles · 25/s · 12 s left"
    assert eta.describe(Progress("features", 500, 500, "tiles"), now=30.0) == "500 of 500 tiles"
    assert eta.describe(Progress("features", 7, 0, "tiles"), now=30.0) == "7 tiles"
