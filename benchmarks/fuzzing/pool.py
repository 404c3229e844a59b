"""Child processes that read mutated files under a limit of processor time and of memory."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil

from .formats import FORMATS, copy_of

#: Seconds without an end and without work until a child counts as stalled.
STALL = 120.0
_WRITES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod")
_RUNS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "socket.bind")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Limits:
    """Of one file: seconds of processor time, and bytes of memory above what the libraries hold."""

    seconds: int
    memory: int


@dataclass(frozen=True)
class Case:
    """Mutation ``number`` of a format; ``seed`` makes it the same again."""

    name: str
    number: int
    seed: int

    @property
    def rng(self) -> random.Random:
        return random.Random(f"{self.seed}/{self.name}/{self.number}")


@dataclass(frozen=True)
class Outcome:
    """How a case ended: ``read``, ``refused``, or a finding with its place and words."""

    case: Case
    kind: str
    place: str = ""
    words: str = ""
    seconds: float = 0.0
    trace: str = field(default="", repr=False)


def make(case: Case, seeds: list[Path], folder: Path) -> Path:
    """Write the mutated file of a case into a folder."""
    rng = case.rng
    target = copy_of(rng.choice(seeds), folder)
    with suppress(Exception):  # what was changed before a change that makes no sense stays
        FORMATS[case.name].mutate(target, rng)
    return target


def read(case: Case, target: Path, watch: Watch | None = None) -> Outcome:
    """Read a mutated file; what is raised that is no :class:`SamMilError` is a finding."""
    from sam_mil_engine.errors import SamMilError

    kind, place, words, trace, begun = "read", "", "", "", time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            FORMATS[case.name].read(target)
    except SamMilError as error:
        kind, words = "refused", error.what
    except BaseException as error:  # noqa: BLE001  (each is a finding)
        kind, words = type(error).__name__, str(error)[:300]
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "sam_mil_engine" in frame.filename] or frames
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}"
        trace = "".join(traceback.format_exception(error))
    if watch is not None and watch.seen:
        kind, words = "reached out", "; ".join(watch.seen[:3])
    return Outcome(case, kind, place, words, time.process_time() - begun, trace)


class Watch:
    """Notes what this process writes outside a folder, and what it starts or connects to."""

    def __init__(self) -> None:
        self.folder, self.seen = "", []
        # asked before the hook is there: the first answer tries out a file, which the hook would ask about for ever
        self._torch_cache = os.path.join(tempfile.gettempdir(), "torchinductor")
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.folder or (event not in _WRITES and event not in _RUNS and event != "open"):
            return
        if event == "subprocess.Popen" and "first_look" in str(arguments[1]):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITING):
            return
        path = os.path.abspath(os.fsdecode(arguments[0])) if event not in _RUNS and _is_path(arguments[0]) else ""
        own = (self.folder, "/dev/", self._torch_cache)
        if event in _RUNS or (path and not path.startswith(own)):
            self.seen.append(f"{event} {path or arguments[:1]}")


def _is_path(value: object) -> bool:
    return isinstance(value, (str, bytes, os.PathLike))


def serve(pipe: Connection, seeds: dict[str, list[Path]], limits: Limits, place: str) -> None:
    """Read cases one after the other until the pipe is closed."""
    os.environ["OMP_NUM_THREADS"] = "1"
    _quiet()
    watch = Watch()
    base = Path(tempfile.mkdtemp(dir=place))
    try:
        while (case := pipe.recv()) is not None:
            folder = base / str(case.number)
            folder.mkdir()
            target = make(case, seeds[case.name], folder)
            os.chdir(folder)
            _limit(limits)
            pipe.send("begun")
            watch.folder, watch.seen = str(folder), []
            outcome = read(case, target, watch)
            watch.folder = ""
            os.chdir(base)
            shutil.rmtree(folder, ignore_errors=True)
            pipe.send(outcome)
    except (EOFError, BrokenPipeError):
        pass
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _quiet() -> None:
    """Libraries complain of broken files on standard error; findings are reported otherwise."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)


def _limit(limits: Limits) -> None:
    """Let this process work so much longer and hold so much more; the parent watches where there are no limits."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    worked = int(used.ru_utime + used.ru_stime) + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (worked + limits.seconds, hard))
    held = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (held + limits.memory, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


class Child:
    """One process that reads cases; followed by another where it ends over one."""

    def __init__(self, context: Any, seeds: dict[str, list[Path]], limits: Limits, place: str):
        self._context, self._seeds, self._limits, self._place = context, seeds, limits, place
        self._start()

    def _start(self) -> None:
        self.pipe, other = self._context.Pipe()
        self._process = self._context.Process(
            target=serve, args=(other, self._seeds, self._limits, self._place), daemon=True
        )
        self._process.start()
        other.close()
        self.case: Case | None = None
        self._begun, self._worked = 0.0, None

    def give(self, case: Case) -> None:
        self.case, self._begun, self._worked = case, time.monotonic(), None
        self.pipe.send(case)

    def answer(self) -> Outcome | None:
        """Return how the case ended, or None where the child is still at it."""
        case = self.case
        assert case is not None
        try:
            found = self.pipe.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode or 0
            self._start()
            cpu = "SIGXCPU" if hasattr(__import__("signal"), "SIGXCPU") else ""
            name = _signal(code)
            kind = "processor time" if name == cpu and cpu else f"crash ({name})"
            return Outcome(case, kind, words="the process ended over it")
        if found == "begun":
            self._worked = self._cpu()
            return None
        self.case = None
        return found

    def overdue(self) -> Outcome | None:
        """End a child that works or waits for too long, where the system does not."""
        if self.case is None or self._worked is None:
            return None
        worked, waited = self._cpu() - self._worked, time.monotonic() - self._begun
        if worked < self._limits.seconds + 2 and waited < STALL * max(1, self._limits.seconds / 5):
            return None
        case, kind = self.case, "processor time" if worked >= self._limits.seconds else "stalled"
        self.stop()
        self._start()
        return Outcome(case, kind, words="ended by the limit")

    def _cpu(self) -> float:
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def stop(self) -> None:
        self._process.kill()
        self._process.join()


def _signal(code: int) -> str:
    import signal

    return signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"


def run(cases: Iterable[Case], seeds: dict[str, list[Path]], limits: Limits, *, jobs: int) -> Iterator[Outcome]:
    """Read the cases in child processes and yield how each ended."""
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:  # children begin with everything imported
        paths = (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        context.set_forkserver_preload(["fuzzing.preloaded"])
    place = tempfile.mkdtemp(prefix="fuzz-")  # children that are ended leave their folders
    children = [Child(context, seeds, limits, place) for _ in range(jobs)]
    rest = iter(cases)
    try:
        for child in children:
            _next(child, rest)
        while any(child.case is not None for child in children):
            by_pipe = {child.pipe: child for child in children if child.case is not None}
            ready = [by_pipe[pipe] for pipe in wait(list(by_pipe), timeout=2.0)]  # type: ignore[index]
            for child in children:
                outcome = child.answer() if child in ready else child.overdue()
                if outcome is not None:
                    yield outcome
                    _next(child, rest)
    finally:
        for child in children:
            child.stop()
        shutil.rmtree(place, ignore_errors=True)


def _next(child: Child, rest: Iterator[Case]) -> None:
    case = next(rest, None)
    if case is not None:
        child.give(case)
