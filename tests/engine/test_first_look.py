"""Files that kill or hang a C library: a child process ends over them, and this one says so."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest

from sam_mil_engine import first_look
from sam_mil_engine.errors import Cancelled

HERE = Path(__file__).stem


def crash(path: Path) -> None:
    if path.read_text(encoding="utf-8") == "bad":
        os.abort()


def spin(path: Path) -> None:
    while path.read_text(encoding="utf-8") == "bad":
        pass


def fail(path: Path) -> None:
    raise ValueError(path)


@pytest.fixture(autouse=True)
def _own_child(monkeypatch: pytest.MonkeyPatch) -> None:
    child = first_look._Child()
    monkeypatch.setattr(first_look, "_CHILD", child)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(Path(__file__).parent), *sys.path)))
    yield
    child.stop()


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_that_kills_its_reader_is_named_and_the_next_one_is_read(tmp_path: Path) -> None:
    bad, good = written(tmp_path / "bad", "bad"), written(tmp_path / "good", "good")
    assert "crashed" in str(first_look.problem(f"{HERE}:crash", bad))
    assert first_look.problem(f"{HERE}:crash", good) is None


def test_a_file_is_looked_at_once_until_it_changes(tmp_path: Path) -> None:
    path = written(tmp_path / "a", "bad")
    first = first_look.problem(f"{HERE}:crash", path)
    assert first_look._CHILD._process is None
    assert first_look.problem(f"{HERE}:crash", path) == first
    assert first_look._CHILD._process is None
    assert first_look.problem(f"{HERE}:crash", written(path, "mended")) is None


def test_work_without_an_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_look, "MOST_WORK_S", 0.5)
    assert "processor time" in str(first_look.problem(f"{HERE}:spin", written(tmp_path / "a", "bad")))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_read_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a", "good")
    assert first_look.problem(f"{HERE}:fail", path) is None
    child = first_look._CHILD._process
    os.kill(child.pid, signal.SIGSTOP)  # as one that waits for a disk that is gone
    monkeypatch.setattr(first_look, "MOST_WAIT_S", 0.5)
    assert "hangs" in str(first_look.problem(f"{HERE}:crash", path))
    assert not psutil.pid_exists(child.pid)


def test_what_the_look_raises_is_left_to_the_reader(tmp_path: Path) -> None:
    assert first_look.problem(f"{HERE}:fail", written(tmp_path / "a", "x")) is None
    assert first_look.problem("no_such_module:f", written(tmp_path / "a", "xy")) is None


def test_files_of_this_process_are_trusted(tmp_path: Path) -> None:
    path = written(tmp_path / "a", "bad")
    first_look.trust(f"{HERE}:crash", path)
    assert first_look.problem(f"{HERE}:crash", path) is None
    assert first_look._CHILD._process is None


def test_a_stop_by_the_caller_ends_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that comes late must not be taken for that of the next file."""

    def stop(process: object, question: str, while_waiting: object) -> None:
        raise KeyboardInterrupt

    path = written(tmp_path / "a", "good")
    first_look.problem(f"{HERE}:crash", path)
    child = first_look._CHILD._process
    with monkeypatch.context() as patch:
        patch.setattr(first_look._CHILD, "_wait", stop)
        with pytest.raises(KeyboardInterrupt):
            first_look.problem(f"{HERE}:fail", path)
    assert child.poll() is not None
    assert first_look.problem(f"{HERE}:fail", path) is None


def test_whoever_waits_may_stop_a_look_that_goes_on(tmp_path: Path) -> None:
    """As a user does who cancels; another thread that waits for the same child may as well."""
    path, begun, ended = written(tmp_path / "a", "bad"), threading.Event(), threading.Event()

    def until_told() -> None:
        begun.set()
        if ended.is_set():
            raise Cancelled("enough")

    def look() -> None:
        with pytest.raises(Cancelled):
            first_look.problem(f"{HERE}:spin", path, while_waiting=until_told)
        stopped.set()

    def refuse() -> None:
        raise Cancelled("not even begun")

    stopped = threading.Event()
    thread = threading.Thread(target=look)
    thread.start()
    begun.wait()
    child = first_look._CHILD._process
    with pytest.raises(Cancelled, match="not even begun"):
        first_look.problem(f"{HERE}:crash", written(tmp_path / "b", "good"), while_waiting=refuse)
    assert child.poll() is None, "the other look goes on"
    ended.set()
    thread.join()
    assert stopped.is_set()
    assert child.poll() is not None
    assert first_look.problem(f"{HERE}:crash", tmp_path / "b") is None


def test_threads_share_one_child(tmp_path: Path) -> None:
    paths = [written(tmp_path / str(number), "good") for number in range(8)]
    threads = [threading.Thread(target=first_look.problem, args=(f"{HERE}:crash", path)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ours = [one for one in psutil.Process().children() if "first_look" in " ".join(one.cmdline())]
    assert [one.pid for one in ours if one.pid == first_look._CHILD._process.pid]
    assert len(first_look._CHILD._known) == len(paths)
