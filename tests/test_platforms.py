"""Code that runs on Windows and macOS too, and files that every system can hold."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Modules of the standard library that Windows lacks.
POSIX_MODULES = {"crypt", "fcntl", "grp", "pty", "pwd", "resource", "spwd", "syslog", "termios", "tty"}
#: What :mod:`os` and :mod:`signal` lack there.
POSIX_NAMES = {
    "os.fork", "os.forkpty", "os.getuid", "os.geteuid", "os.getgid", "os.getpgid", "os.killpg", "os.mkfifo",
    "os.setsid", "os.statvfs", "os.uname", "os.wait", "signal.SIGKILL", "signal.SIGUSR1", "signal.SIGUSR2",
    "signal.SIGHUP", "signal.SIGALRM", "signal.alarm", "signal.pause", "signal.setitimer",
}  # fmt: skip
#: What Windows refuses in a name, beside a dot or a space at the end and the names of devices.
REFUSED = set('<>:"|?*\\')
#: 260 characters are the limit of a whole path there; the folder of the checkout takes some.
LONGEST = 160


def posix_only(text: str) -> Iterator[str]:
    """Yield what a module uses that Windows lacks: modules, names, the start method ``fork``."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in POSIX_MODULES)
        elif isinstance(node, ast.ImportFrom):
            if node.module in POSIX_MODULES:
                yield node.module
            yield from (name for alias in node.names if (name := f"{node.module}.{alias.name}") in POSIX_NAMES)
        elif isinstance(node, ast.Attribute) and (name := ast.unparse(node)) in POSIX_NAMES:
            yield name
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("get_context", "set_start_method")):
            yield from (
                arg.value for arg in node.args if isinstance(arg, ast.Constant) and "fork" in str(arg.value)
            )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import fcntl", ["fcntl"]),
        ("from pwd import getpwuid", ["pwd"]),
        ("from os import fork", ["os.fork"]),
        ("import os\ndef f():\n    return os.fork()", ["os.fork"]),
        ("import multiprocessing\nmultiprocessing.get_context('fork')", ["fork"]),
        ("import os, signal\nos.replace('a', 'b')\nsignal.SIGINT", []),
    ],
)
def test_what_only_posix_has_is_found(text: str, found: list[str]) -> None:
    assert list(posix_only(text)) == found


def test_the_packages_use_nothing_that_windows_lacks() -> None:
    used = {
        str(path.relative_to(ROOT)): found
        for path in sorted((ROOT / "src").rglob("*.py"))
        if (found := list(posix_only(path.read_text(encoding="utf-8"))))
    }
    assert used == {}


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """Every file of the repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a git checkout: the list of its files is not known")
    return listed.stdout.splitlines()


def test_every_system_can_hold_the_files_of_the_repository(tracked: list[str]) -> None:
    assert [name for name in tracked if REFUSED & set(name)] == []
    assert [name for name in tracked if PureWindowsPath(name).is_reserved()] == []
    assert [name for name in tracked if any(part.endswith((".", " ")) for part in name.split("/"))] == []
    assert [name for name in tracked if len(name) > LONGEST] == []


def test_no_two_files_differ_only_in_case(tracked: list[str]) -> None:
    folded = [name.casefold() for name in tracked]
    assert sorted(set(folded)) == sorted(folded)
