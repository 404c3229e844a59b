"""Commands and scripts in processes of their own that start at once: forked off one with the libraries imported.

Run as a script it is that one; :func:`run_command` and :func:`run_script` are what a test calls. Our own modules
are imported by every command anew. Some tests start a real process all the same: what a command imports is theirs.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

#: What the commands spend their start with. Ours are not among them.
LIBRARIES = (
    *("cv2", "h5py", "huggingface_hub", "imagecodecs", "jinja2", "matplotlib.backends.backend_agg"),
    *("matplotlib.figure", "numpy", "openslide", "pandas", "PIL.Image", "pydantic", "rich.console", "rich.table"),
    *("safetensors.torch", "scipy.ndimage", "scipy.optimize", "scipy.stats", "segment_anything", "shapely"),
    *("skimage.color", "skimage.feature", "skimage.segmentation", "sklearn.cluster", "sklearn.metrics"),
    *("sklearn.model_selection", "tifffile", "timm", "torch", "torchvision", "typer", "zarr"),
)
#: Kills its own process, wherever the other threads are.
_WATCH = """
import os, signal, threading, time
def watch():
    while not os.path.exists({path!r}):
        time.sleep(0.002)
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
"""


def run_command(*words: object, code: int = 0, warned: str = "error") -> subprocess.CompletedProcess[str]:
    """Run ``sam-mil-engine WORDS``; its exit code must be ``code``, and ``warned`` is what Python's -W takes."""
    return _run("", words, code=code, warned=warned)


def run_script(script: Path, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``python SCRIPT WORDS`` in the same way."""
    return _run(str(script), words, code=code, warned="default")


def run_code(text: str, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``python -c TEXT WORDS`` in the same way; it must end with ``code``."""
    with tempfile.TemporaryDirectory(prefix="warm-code-") as folder:
        script = Path(folder, "text.py")
        script.write_text(text, encoding="utf-8")
        return run_script(script, *words, code=code)


def run_until_there(path: Path, text: str, *words: object) -> None:
    """Run the text, and end it by SIGKILL in the middle, as soon as the file is there."""
    run_code(_WATCH.format(path=str(path)) + text, *words, code=-signal.SIGKILL)


def _run(script: str, words: Sequence[object], *, code: int, warned: str) -> subprocess.CompletedProcess[str]:
    argv = [str(word) for word in words]
    environment = {**os.environ, "COLUMNS": "200", "PYTHONWARNINGS": warned}
    run = _server().run if hasattr(os, "fork") else _started
    result = run(script, argv, environment)
    assert result.returncode == code, result.stdout + result.stderr
    return result


def _started(script: str, argv: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    program = [script] if script else ["-m", "sam_mil_engine"]
    command = [sys.executable, *program, *argv]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


class _Server:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def run(self, script: str, argv: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory(prefix="warm-command-") as folder:
            said, told = Path(folder, "stdout"), Path(folder, "stderr")
            files = [str(said), str(told)]
            work = {"script": script, "argv": argv, "env": environment, "cwd": os.getcwd(), "files": files}
            self._process.stdin.write(json.dumps(work) + "\n")
            code = int(self._process.stdout.readline())
            return subprocess.CompletedProcess(
                argv, code, said.read_text(encoding="utf-8"), told.read_text(encoding="utf-8")
            )


@cache
def _server() -> _Server:
    return _Server()


def _work(work: dict) -> None:
    """Become the command: its words, environment, folder and output; ends this process."""
    for number, path in enumerate(work["files"], start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(work["cwd"])
    os.environ.clear()
    os.environ.update(work["env"])
    warnings.simplefilter(work["env"]["PYTHONWARNINGS"])
    sys.argv = [work["script"] or "sam-mil-engine", *work["argv"]]
    if work["script"]:
        sys.path[0] = str(Path(work["script"]).parent)
        runpy.run_path(work["script"], run_name="__main__")
    else:
        import_module("sam_mil_engine.cli.main").run()


def _serve() -> None:
    """Fork a process for every line of standard input, and say its exit code."""
    for library in LIBRARIES:
        import_module(library)
    gc.freeze()  # a child's collector leaves alone what it shares
    for line in sys.stdin:
        command = multiprocessing.get_context("fork").Process(target=_work, args=(json.loads(line),))
        command.start()
        command.join()
        sys.stdout.write(f"{command.exitcode}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
