"""Calls in the worker process: results, reports, errors and warnings come back; hung calls are killed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from by_hand import until

from napari_sam_mil.background.worker import RemoteTraceback, call_in_worker, end_all, start_worker
from sam_mil_engine.errors import Cancelled, SamMilError, SlideError
from sam_mil_engine.progress import Progress

WORK = """
    import os, time, warnings
    from sam_mil_engine.errors import SlideError
    from sam_mil_engine.progress import Progress

    def add(one, other, *, progress):
        for done in range(3):
            progress(Progress("add", done, 2))
        print("what libraries print is not taken for an answer")
        return one + other, os.getpid()

    def refuse(*, progress):
        raise SlideError("no tissue was found", where="a.svs", hint="Try another preset")

    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(one)

    def odd(*, progress):
        raise Odd("not to be pickled", 2)

    def unpicklable(*, progress):
        return lambda: None

    def warn(*, progress):
        warnings.warn("not enough memory on the device", UserWarning)

    def deaf(path, *, progress):
        path.write_text(str(os.getpid()))
        time.sleep(10_000)

    def listening(*, progress):
        while True:
            progress(Progress("wait", 0, 0))
            time.sleep(0.01)

    def die(*, progress):
        os._exit(3)

    def loaded(*, progress):
        import sys
        return "timm" in sys.modules, os.getpid()

    def setting(*, progress):
        return os.environ.get("SAM_MIL_TEST_SETTING")
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A module that both processes can import."""
    (tmp_path / "other_work.py").write_text(textwrap.dedent(WORK))
    monkeypatch.syspath_prepend(tmp_path)
    import other_work

    yield other_work
    del sys.modules["other_work"]
    end_all()


def test_a_result_comes_home_with_its_reports_and_the_process_is_kept(work):
    seen: list[Progress] = []
    result, process = call_in_worker(work.add, 2, other=3, progress=seen.append)
    assert result == 5
    assert process != os.getpid()
    assert [seen[0].done, seen[-1].done] == [0, 2]
    assert call_in_worker(work.add, 1, 1) == (2, process), "the next call finds it ready"


def test_a_process_made_ready_has_loaded_and_takes_the_first_call(work):
    end_all()
    assert call_in_worker(work.loaded)[0] is False
    end_all()
    start_worker()
    start_worker()
    loaded, process = call_in_worker(work.loaded)
    assert loaded
    start_worker()
    assert call_in_worker(work.loaded) == (True, process), "there is one already"


def test_two_calls_at_once_have_two_processes(work):
    pids: list[int] = []
    barrier = threading.Barrier(2)

    def run():
        barrier.wait(10)
        pids.append(call_in_worker(work.add, 1, 1, progress=lambda _report: time.sleep(0.1))[1])

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(pids)) == 2


def test_an_error_keeps_its_kind_its_words_and_where_it_was_raised(work):
    with pytest.raises(SlideError, match="no tissue was found") as caught:
        call_in_worker(work.refuse)
    assert caught.value.hint == "Try another preset"
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "in refuse" in str(caught.value.__cause__)


def test_what_does_not_travel_is_told_as_an_error(work):
    with pytest.raises(RuntimeError, match="Odd: not to be pickled"):
        call_in_worker(work.odd)
    with pytest.raises(Exception, match="lambda"):
        call_in_worker(work.unpicklable)
    assert call_in_worker(work.add, 1, 1)[0] == 2, "the process answers on"


def test_warnings_are_given_again(work):
    with pytest.warns(UserWarning, match="not enough memory"):
        call_in_worker(work.warn)


def test_it_sees_the_environment_of_now(work, monkeypatch):
    assert call_in_worker(work.setting) is None
    monkeypatch.setenv("SAM_MIL_TEST_SETTING", "offline")
    assert call_in_worker(work.setting) == "offline"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_cancel_stops_at_a_report_and_keeps_the_process(work):
    _, process = call_in_worker(work.add, 1, 1)

    def stop(_report):
        raise Cancelled("the user cancelled the job")

    with pytest.raises(Cancelled):
        call_in_worker(work.listening, progress=stop)
    assert call_in_worker(work.add, 1, 1) == (2, process)


def test_cancel_ends_a_call_that_never_listens(work, tmp_path):
    pid = tmp_path / "pid"

    def stop(_report):
        if pid.is_file() and pid.read_text():
            raise Cancelled("the user cancelled the job")

    with pytest.raises(Cancelled):
        call_in_worker(work.deaf, pid, progress=stop)
    assert not alive(int(pid.read_text()))
    assert call_in_worker(work.add, 1, 1)[0] == 2


def test_a_process_that_dies_is_told_and_replaced(work):
    with pytest.raises(SamMilError, match=r"ended unexpectedly \(exit code 3\)"):
        call_in_worker(work.die)
    assert call_in_worker(work.add, 1, 1)[0] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_it_ends_when_the_caller_is_killed(work, tmp_path):
    script = tmp_path / "caller.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from pathlib import Path\n"
        "import other_work\n"
        "from napari_sam_mil.background.worker import call_in_worker\n"
        f"print(call_in_worker(other_work.add, 1, 1)[1], flush=True); Path({str(tmp_path)!r}, 'x').touch()\n"
        "import time; time.sleep(10_000)\n"
    )
    caller = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    process = int(caller.stdout.readline())
    caller.kill()
    caller.wait()
    caller.stdout.close()
    until(lambda: not alive(process) or _zombie(process), "the end of the process")


def _zombie(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.is_file() and status.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
